"""`Redo`: one leaf written anew between the texts that stay, because a person asked for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """A wish: the id of a leaf, and what is to be different; an empty note asks for another draft."""

    section: str
    note: str = ""
