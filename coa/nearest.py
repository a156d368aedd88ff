"""What a name that is not known was perhaps meant to be, as a hint."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """``Did you mean 'window'?`` where one of the known names is near, else all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    return f"Did you mean {near[0]!r}?" if near else f"Choose one of: {', '.join(names)}."
