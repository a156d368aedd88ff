"""Units: the passages that an index finds, whole sentences of one document packed to a few hundred characters."""

from __future__ import annotations

from collections.abc import Iterator

from coa.sentences import sentence_spans

MOST_CHARS = 600
"""About 120 words: a passage a person can judge at a glance, and well inside MiniLM's 256 tokens."""


def unit_spans(text: str, most: int = MOST_CHARS) -> list[tuple[int, int]]:
    """``(start, end)`` of each unit, in characters of ``text``; blanks between units belong to none."""
    units: list[tuple[int, int]] = []
    for start, end in _pieces(text, most):
        if units and end - units[-1][0] <= most and "\n\n" not in text[units[-1][1] : start]:
            units[-1] = (units[-1][0], end)
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
