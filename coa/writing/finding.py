"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a text, or (``fails`` is false) that deserves a look."""

    check: str
    where: str
    value: float | str
    fails: bool = True
