"""What a token counter is, and how a long text is counted in pieces."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

WINDOW = 32_768
"""Characters counted in one call at most: a tokenizer may hold the interpreter's lock for the whole call."""

_SEAM = re.compile(r"[^\s](?=\s)")
_REACH = 256


class TokenCounter(Protocol):
    """Counts the tokens of a text.

    Attributes:
        label: What is being counted with, for people: ``tiktoken o200k_base``, ``estimate``.
        margin: How far the count may be too low: the truth is at most ``count * (1 + margin)``. 0.0 when it is the
            model's own tokenizer.
    """

    @property
    def label(self) -> str:
        """What is being counted with."""
        ...

    @property
    def margin(self) -> float:
        """How far the count may be too low."""
        ...

    def count(self, text: str) -> int:
        """The number of tokens of a text."""
        ...


def windows(text: str, size: int = WINDOW) -> Iterator[str]:
    """Cut a long text into pieces to be counted one by one, before white space where there is some nearby.

    Tokenizers of today never merge a word with the space after it, so that the pieces' counts add up to the whole's.
    """
    start = 0
    while len(text) - start > size:
        seam = _SEAM.search(text, start + size - _REACH, start + size)
        stop = seam.end() if seam else start + size
        yield text[start:stop]
        start = stop
    yield text[start:] if start else text
