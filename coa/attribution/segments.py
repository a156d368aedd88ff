"""What can be blamed and what is to be explained: the sentences of the sources, the claims of the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coa.attribution.base import Segment
from coa.attribution.support import support
from coa.documents import Document
from coa.sentences import sentence_spans
from coa.tokens import TokenCounter

_MARKERS = re.compile(r"[ \t]*\[\d+(?:\s*[-–,;]\s*\d+)*\]")


def segments_of(documents: Sequence[Document], counter: TokenCounter) -> tuple[Segment, ...]:
    """The sentences of all documents, in order."""
    return tuple(
        Segment(span=document.span(start, end), text=text, tokens=counter.count(text) + 1)
        for document in documents
        for start, end in sentence_spans(document.text)
        for text in (document.text[start:end],)
    )


def without_markers(answer: str) -> str:
    """The answer as it was meant before citations were numbered: ``[3]`` and ``[4-5]`` gone."""
    return _MARKERS.sub("", answer).strip()


def claims_of(answer: str) -> tuple[tuple[int, int], ...]:
    """Each sentence of the answer is a claim: ``(start, end)`` in characters."""
    return tuple(sentence_spans(answer))


def shortlist(segments: Sequence[Segment], query: str, room: int) -> tuple[Segment, ...]:
    """As many segments as fit in ``room`` tokens, those nearest to the query first, returned in document order."""
    if sum(segment.tokens for segment in segments) <= room:
        return tuple(segments)
    scores = support([segment.text for segment in segments], query)
    kept: list[int] = []
    for index in sorted(range(len(segments)), key=lambda i: -scores[i]):
        if segments[index].tokens <= room:
            room -= segments[index].tokens
            kept.append(index)
    return tuple(segments[index] for index in sorted(kept))
