"""Split a text into chunks of an exact token budget: spans that cover it without gap or overlap.

The text is cut into units of a few hundred characters at its natural ends, each unit is counted, and units are packed.
Inside the last few percent of a chunk the best end wins: paragraph, then sentence, then word. (Counting every sentence
again for each chunk, as Algorithm 2 of arXiv 2406.02818 prints it, is slow and lets long sentences overflow.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from coa.errors import UsageError
from coa.types import Chunk, Span

if TYPE_CHECKING:
    from coa.documents import Document
    from coa.tokens import TokenCounter

_UNIT = 384
_LONG_UNIT = 768
_SLACK = 0.03
_SMALLEST_HALVED = 24
_PARAGRAPH, _SENTENCE, _WORD, _INSIDE = 3, 2, 1, 0
_ENDS = (
    (_PARAGRAPH, re.compile(r"\n[ \t]*\n\s*")),
    (_SENTENCE, re.compile(r"[.!?…][\"'”’»)\]]*\s+|[。！？｡][」』”’）]*|\n")),
    (_WORD, re.compile(r"\s+")),
)


@dataclass(frozen=True, slots=True)
class _Unit:
    start: int
    end: int
    tokens: int
    rank: int


def split(document: Document, budget: int, counter: TokenCounter, *, overlap: int = 0) -> list[Chunk]:
    """Split a document into chunks of at most ``budget`` tokens.

    Args:
        document: What to split.
        budget: Tokens of a chunk, as ``counter`` counts them.
        counter: Counts tokens.
        overlap: Tokens that a chunk repeats of the one before, at most; 0 for none.

    Returns:
        Chunks in order. Without overlap ``"".join`` of their texts is the document's text.

    Raises:
        UsageError: a budget below 1, or an overlap that leaves no room for new text.
    """
    if not 0 <= overlap < budget:
        raise UsageError(
            f"an overlap of {overlap} tokens does not fit in chunks of {budget}", hint="Choose a smaller one."
        )
    pieces = split_text(document.text, budget - overlap, counter)
    if overlap:
        pieces = _overlapping(document.text, pieces, overlap, counter)
    return [
        Chunk(index=index, span=Span(doc=document.id, start=start, end=end), tokens=tokens)
        for index, (start, end, tokens) in enumerate(pieces)
    ]


def split_at(document: Document, starts: Sequence[int], budget: int, counter: TokenCounter) -> list[Chunk]:
    """Split a document at some of its places only, such as the turns of a conversation.

    Args:
        document: What to split.
        starts: Ascending offsets at which a chunk may begin.
        budget: Tokens of a chunk.
        counter: Counts tokens.

    Returns:
        Chunks that cover the document; a stretch between two places that is larger than the budget is split further.
    """
    edges = sorted({0, *starts, len(document.text)})
    chunks: list[Chunk] = []

    def close(start: int, end: int) -> None:
        for a, b, tokens in split_text(document.text, budget, counter, start, end):
            chunks.append(Chunk(index=len(chunks), span=document.span(a, b), tokens=tokens))

    begin, size = 0, 0
    for start, end in pairwise(edges):
        tokens = counter.count(document.text[start:end])
        if size and size + tokens > budget:
            close(begin, start)
            begin, size = start, 0
        size += tokens
    if begin < len(document.text):
        close(begin, len(document.text))
    return chunks


def split_text(
    text: str, budget: int, counter: TokenCounter, start: int = 0, end: int | None = None
) -> list[tuple[int, int, int]]:
    """Split a stretch of text; see `split`.

    Returns:
        ``(start, end, tokens)`` in characters of ``text``. A single character cluster that is larger than the budget
        stays whole, since there is no smaller piece of text.

    Raises:
        UsageError: a budget below 1.
    """
    if budget < 1:
        raise UsageError(f"a budget of {budget} tokens holds no text", hint="Give at least 1.")
    end = len(text) if end is None else end
    packed = _packed(text, budget, counter, _units(text, start, end, budget, counter))
    return [checked for first, last in packed for checked in _checked(text, first, last, budget, counter)]


def _packed(text: str, budget: int, counter: TokenCounter, units: Iterator[_Unit]) -> Iterator[tuple[int, int]]:
    waiting: list[_Unit] = []
    size = 0
    for whole in units:
        todo = [whole]
        while todo:
            unit = todo.pop()
            if size + unit.tokens > budget and waiting:
                if size < budget * (1 - _SLACK) and len(halves := _halves(text, unit, counter)) > 1:
                    todo += reversed(halves)
                    continue
                taken = _best_end(waiting, size, budget)
                yield waiting[0].start, waiting[taken - 1].end
                waiting = waiting[taken:]
                size = sum(unit.tokens for unit in waiting)
            waiting.append(unit)
            size += unit.tokens
    if waiting:
        yield waiting[0].start, waiting[-1].end


def _halves(text: str, unit: _Unit, counter: TokenCounter) -> list[_Unit]:
    """The two halves of a unit, so that a chunk is not left half empty; the unit itself where it is small already."""
    if unit.end - unit.start < _SMALLEST_HALVED:
        return [unit]
    middle, rank = _cut(text, unit.start, unit.end, (unit.start + unit.end) // 2)
    if middle in (unit.start, unit.end):
        return [unit]
    left = _Unit(unit.start, middle, counter.count(text[unit.start : middle]), rank)
    return [left, _Unit(middle, unit.end, counter.count(text[middle : unit.end]), unit.rank)]


def _best_end(units: list[_Unit], size: int, budget: int) -> int:
    """How many units to take: the best end among the last few percent, the latest of equals."""
    best, rank = len(units), units[-1].rank
    filled = size
    for count in range(len(units) - 1, 0, -1):
        filled -= units[count].tokens
        if filled < budget * (1 - _SLACK):
            break
        if units[count - 1].rank > rank:
            best, rank = count, units[count - 1].rank
    return best


def _checked(text: str, start: int, end: int, budget: int, counter: TokenCounter) -> Iterator[tuple[int, int, int]]:
    """Units are counted apart; should a chunk be larger as a whole, it is halved."""
    whole = counter.count(text[start:end])
    if whole <= budget or (middle := _cut(text, start, end, start + (end - start) // 2)[0]) in (start, end):
        yield start, end, whole
        return
    yield from _checked(text, start, middle, budget, counter)
    yield from _checked(text, middle, end, budget, counter)


def _units(text: str, start: int, end: int, budget: int, counter: TokenCounter) -> Iterator[_Unit]:
    while start < end:
        stop, rank = (end, _PARAGRAPH) if end - start <= _UNIT else _cut(text, start, end, start + _UNIT)
        yield from _fitting(text, start, stop, rank, budget, counter)
        start = stop


def _fitting(text: str, start: int, end: int, rank: int, budget: int, counter: TokenCounter) -> Iterator[_Unit]:
    """A unit, or its halves where it is larger than a whole chunk may be."""
    tokens = counter.count(text[start:end])
    if tokens <= budget or (cut := _cut(text, start, end, start + (end - start) // 2))[0] in (start, end):
        yield _Unit(start, end, tokens, rank)
        return
    middle, inner = cut
    yield from _fitting(text, start, middle, inner, budget, counter)
    yield from _fitting(text, middle, end, rank, budget, counter)


def _cut(text: str, start: int, end: int, near: int) -> tuple[int, int]:
    """The best place to cut at or before ``near``, or shortly after it, and its rank."""
    window = text[start : min(end, start + _LONG_UNIT)]
    want = near - start
    for rank, pattern in _ENDS:
        ends = [match.end() for match in pattern.finditer(window) if match.end() < len(window)]
        good = [cut for cut in ends if want // 2 <= cut <= want + want // 2 and _between_clusters(text, start + cut)]
        if good:
            return start + min(good, key=lambda cut: abs(cut - want)), rank
    return _cluster_end(text, start, end, near), _INSIDE


def _between_clusters(text: str, cut: int) -> bool:
    if cut <= 0 or cut >= len(text) or text[cut].isascii():
        return text[cut - 1 : cut + 1] != "\r\n"
    return cut in _clusters(text, max(0, cut - 32), min(len(text), cut + 1))


def _cluster_end(text: str, start: int, end: int, near: int) -> int:
    """The last end of a character cluster at or before ``near``; else the first after it."""
    if text[near - 1 : near + 1].isascii():
        return near if _between_clusters(text, near) or near - 1 <= start else near - 1
    ends = _clusters(text, start, min(end, near + 64))
    before = [cut for cut in ends if start < cut <= near]
    after = [cut for cut in _clusters(text, start, end) if cut > near] if not before else []
    return before[-1] if before else (after[0] if after else end)


def _clusters(text: str, start: int, end: int) -> list[int]:
    """Where grapheme clusters end (Unicode annex 29)."""
    import regex

    return [match.end() for match in regex.finditer(r"\X", text[:end] if end < len(text) else text, pos=start)]


def _overlapping(
    text: str, pieces: list[tuple[int, int, int]], overlap: int, counter: TokenCounter
) -> list[tuple[int, int, int]]:
    result: list[tuple[int, int, int]] = []
    for index, (start, end, tokens) in enumerate(pieces):
        if index:
            tail = split_text(text, overlap, counter, pieces[index - 1][0], start)[-1]
            if tail[2] <= overlap:
                start = tail[0]
                tokens = counter.count(text[start:end])
        result.append((start, end, tokens))
    return result
