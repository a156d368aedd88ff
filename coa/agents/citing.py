"""From markers in the final text to numbered citations that a reader can check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from coa.agents.quotes import marker_pattern, markers_in
from coa.documents import Document
from coa.sentences import sentence_spans
from coa.types import Citation, Notes, Span
from coa.verbatim import outside_code

_NUMBERED = re.compile(r"\[(\d+(?:\s*[-–,;]\s*\d+)*)\]")
_MARK = re.compile(r"\[(\d+)\]")
_PICTURE = re.compile(r"!(?=\[)|<(?=/?(?:img|iframe|script|object|embed|video|audio|source|link|svg)\b)", re.IGNORECASE)
_TIDY = re.compile(r"[ \t]+(?=[.,;:!?](?:\s|$))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """The text with ``[1]``, ``[2]``, ...; the citations in that order; how many unknown markers were dropped."""

    text: str
    citations: tuple[Citation, ...]
    dropped: int


def cite(text: str, notes: Notes, documents: Mapping[str, Document], tag: str) -> Cited:
    """Number the markers by first appearance, resolve them to spans, and check every quote against its document.

    Numbers in brackets that the model wrote itself could pass for citations: they become round. Pictures become links
    or plain text: whoever shows the text would fetch them, from an address that a document may have chosen.
    """
    evidence = {item.marker: item for item in notes.evidence if _verbatim(item.span, item.quote, documents)}
    numbers: dict[Span, int] = {}
    dropped = 0

    def number(match: re.Match[str]) -> str:
        nonlocal dropped
        shown: list[str] = []
        for marker in markers_in(match[0], tag):
            if marker in evidence:
                shown.append(f"[{numbers.setdefault(evidence[marker].span, len(numbers) + 1)}]")
            else:
                dropped += 1
        return "".join(dict.fromkeys(shown))

    disarmed = outside_code(text, lambda piece: _NUMBERED.sub(r"(\1)", _PICTURE.sub(_plain, piece)), closed=True)
    final = _TIDY.sub("", marker_pattern(tag).sub(number, disarmed)).strip()
    claims = _claims(final)
    citations = tuple(
        _citation(marker, span, documents[span.doc], claims.get(marker)) for span, marker in numbers.items()
    )
    return Cited(text=final, citations=citations, dropped=dropped)


def listed(text: str, notes: Notes, documents: Mapping[str, Document], tag: str) -> Cited:
    """A text that can carry no numbers, such as code, as it is; with all that the notes rest on, in their order."""
    spans = dict.fromkeys(item.span for item in notes.evidence if _verbatim(item.span, item.quote, documents))
    citations = tuple(_citation(0, span, documents[span.doc], None) for span in spans)
    return Cited(text=text, citations=citations, dropped=0)


def _plain(match: re.Match[str]) -> str:
    return "" if match[0] == "!" else "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"


def _verbatim(span: Span, quote: str, documents: Mapping[str, Document]) -> bool:
    return span.doc in documents and documents[span.doc].read(span) == quote


def _citation(marker: int, span: Span, document: Document, claim: tuple[int, int] | None) -> Citation:
    return Citation(
        marker=marker,
        span=span,
        quote=document.read(span),
        line=document.line(span.start),
        page=document.page(span.start),
        claim=claim,
    )


def _claims(text: str) -> dict[int, tuple[int, int]]:
    """For each number, the sentence that it first supports: the one that holds the last word before it."""
    blank = _MARK.sub(lambda match: " " * len(match[0]), text)
    sentences = list(sentence_spans(blank))
    claims: dict[int, tuple[int, int]] = {}
    for match in _MARK.finditer(text):
        before = len(blank[: match.start()].rstrip())
        owner = next(((start, end) for start, end in sentences if start < before <= end), None)
        if owner is not None:
            claims.setdefault(int(match[1]), owner)
    return claims
