"""Units: the passages that an index finds, whole sentences of one document packed to a few hundred characters."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from coa.sentences import sentence_spans

MOST_CHARS = 600
"""About 120 words: a passage a person can judge at a glance, and well inside MiniLM's 256 tokens."""

_ENOUGH = 0.5
"""A unit with this share of its most is ended by a blank line; a shorter one, such as a line of dialogue, goes on."""


def unit_spans(text: str, most: int = MOST_CHARS, breaks: Collection[int] = ()) -> list[tuple[int, int]]:
    """``(start, end)`` of each unit, in characters of ``text``; blanks between units belong to none.

    Args:
        text: What to cut.
        most: Characters of a unit at most.
        breaks: Where a unit must begin, such as at a heading.
    """
    units: list[tuple[int, int]] = []
    headings = frozenset(breaks)
    for start, end in _pieces(text, most):
        begin, stop = units[-1] if units else (0, 0)
        ended = stop - begin >= _ENOUGH * most and "\n\n" in text[stop:start]
        if units and end - begin <= most and not ended and start not in headings:
            units[-1] = (begin, end)
        else:
            units.append((start, end))
    return units


def _pieces(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Sentences, those that are too long cut at blanks, or anywhere where there are none."""
    for start, end in sentence_spans(text):
        while end - start > most:
            blank = text.rfind(" ", start + most // 2, start + most)
            cut = blank if blank > 0 else start + most
            yield start, cut
            start = cut + 1 if blank > 0 else cut
        if text[start:end].strip():
            yield start, end
