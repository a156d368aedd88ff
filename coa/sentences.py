"""Sentences as spans: exact offsets, any script, no model.

A line break inside a paragraph is no boundary (books are hard-wrapped); a blank line, a heading, a list item and a
speaker's turn are. A full stop after an abbreviation, an initial or a number is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NEW_ITEM = re.compile(
    r"\n(?=[ \t]*(?:[-*+•] |\d{1,3}[.)] |#{1,6} |[A-Z][\w .'’()-]{0,40}:[ \t]|\[\d\d:\d\d))|(?<=[:;])\n(?=[ \t]{2,})"
)
_STOP = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』”’）]*|[।॥۔؟።៖]+")
_SHORT = frozenset(
    """
    mr mrs ms dr prof st sr jr vs etc e.g i.e cf no nos fig figs vol pp p ch sec art inc ltd co corp dept est
    approx capt col gen lt sgt rev hon messrs mt ft al ed eds op viz jan feb mar apr jun jul aug sep sept oct nov
    dec
    """.split()  # noqa: SIM905
)
_LAST_WORD = re.compile(r"([\w.]+)\.$")
_LONGEST = 20_000


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of a text, in order, without the blanks around them.

    Args:
        text: Of any length and script; the time taken is linear.

    Yields:
        ``(start, end)`` in characters. Only blanks lie outside of the spans.
    """
    for start, end in _blocks(text):
        begin = start
        for cut in _cuts(text, start, end):
            yield from _trimmed(text, begin, cut)
            begin = cut
        yield from _trimmed(text, begin, end)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    position = 0
    for match in re.finditer(r"\n[ \t]*\n", text):
        yield from _items(text, position, match.start())
        position = match.end()
    yield from _items(text, position, len(text))


def _items(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _NEW_ITEM.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end


def _cuts(text: str, start: int, end: int) -> Iterator[int]:
    """Where sentences end inside a block."""
    last = start
    for match in _STOP.finditer(text, start, end):
        if _ends_sentence(text, match, end) or match.end() - last > _LONGEST:
            last = match.end()
            yield last


def _ends_sentence(text: str, match: re.Match[str], end: int) -> bool:
    if match[0][0] not in ".…":
        return True
    following = text[match.end() : match.end() + 40].lstrip()
    if not following or match.end() >= end:
        return True
    if following[0].islower() or following[0] in ",;:)":
        return False
    before = _LAST_WORD.search(text, max(0, match.start() - 24), match.start() + 1)
    if before is None or len(match[0]) > 1:
        return True
    word = before[1]
    return not (word.lower() in _SHORT or (len(word) == 1 and word.isupper() and word != "I"))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, end
