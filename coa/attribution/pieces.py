"""An agent's prompt taken apart: the notes that it was given, with their quotes, and the sentences of its passage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coa.agents.manager import quote_line
from coa.agents.quotes import marker_pattern, markers_in
from coa.attribution.hops import PieceKind
from coa.attribution.prompting import Ranges
from coa.sentences import sentence_spans
from coa.serving.base import Request
from coa.types import Evidence, Notes, Passage, Span

_QUOTE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a prompt that can be left out.

    Attributes:
        kind: ``note`` or ``passage``.
        text: Its words, as they stand in the prompt.
        ranges: Where it stands in the last message: a note also where its quotes are listed.
        span: Of a passage's sentence, its place in the document.
    """

    kind: PieceKind
    text: str
    ranges: Ranges
    span: Span | None = None


def pieces_of(request: Request, tag: str) -> tuple[Piece, ...]:
    """The pieces of an agent's prompt, in the order in which they stand there."""
    content = request.messages[-1].content
    passage: Passage | None = request.inputs.get("passage")
    notes: Notes | None = request.inputs.get("notes")
    pieces: list[Piece] = []
    at = 0
    if request.role == "writer":
        pieces += _passages(request.inputs.get("evidence", ()), content)
    if passage is not None and (start := content.find(passage.text)) >= 0:
        at = start + len(passage.text)
        pieces += _sentences(passage, start)
    if notes is not None and notes.text and (start := content.find(notes.text, at)) >= 0:
        pieces += _notes(notes, content, start, tag)
    return tuple(pieces)


def _passages(evidence: Sequence[Evidence], content: str) -> Iterator[Piece]:
    """The passages that a writer's prompt lists, each on a line of its own."""
    listed = _listed(evidence, content, 0)
    for item in evidence:
        if item.marker in listed:
            yield Piece(
                kind="passage", text=" ".join(item.quote.split()), ranges=(listed[item.marker],), span=item.span
            )


def _sentences(passage: Passage, offset: int) -> Iterator[Piece]:
    """A sentence leaves with the blanks behind it, up to the next one."""
    spans = list(sentence_spans(passage.text))
    ends = [*(start for start, _ in spans[1:]), len(passage.text)]
    for (start, end), until in zip(spans, ends, strict=True):
        at = passage.span.start
        yield Piece(
            kind="passage",
            text=passage.text[start:end],
            ranges=((offset + start, offset + until),),
            span=Span(doc=passage.span.doc, start=at + start, end=at + end),
        )


def _notes(notes: Notes, content: str, offset: int, tag: str) -> Iterator[Piece]:
    spans = note_spans(notes.text, tag)
    ends = [*(start for start, _ in spans[1:]), len(notes.text)]
    listed = _listed(notes.evidence, content, offset + len(notes.text))
    for (start, end), until in zip(spans, ends, strict=True):
        text = notes.text[start:end]
        quotes = [listed.pop(marker) for marker in _markers(text, tag) if marker in listed]
        yield Piece(kind="note", text=text, ranges=((offset + start, offset + until), *quotes))


def _listed(evidence: Sequence[Evidence], content: str, after: int) -> dict[str, tuple[int, int]]:
    """Where the quotes stand that a manager's prompt lists behind the notes, each on a line of its own."""
    found: dict[str, tuple[int, int]] = {}
    for item in evidence:
        line = quote_line(item) + "\n"
        if (start := content.find(line, after)) >= 0:
            found[item.marker] = (start, start + len(line))
    return found


def _markers(text: str, tag: str) -> list[str]:
    return list(
        dict.fromkeys(marker for match in marker_pattern(tag).findall(text) for marker in markers_in(match, tag))
    )


def note_spans(text: str, tag: str) -> list[tuple[int, int]]:
    """The sentences of notes: a quote in double brackets is never cut, marks behind a full stop stay before it."""
    marks = re.compile(rf"(?:\s*(?:{marker_pattern(tag).pattern}|\[\[.*?\]\])[.,;]?)+", re.DOTALL)
    spans: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        if spans and (_open(text[slice(*spans[-1])]) or (end <= spans[-1][1])):
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            continue
        lead = marks.match(text, start) if spans else None
        if lead is not None and "\n" not in text[spans[-1][1] : start]:
            spans[-1] = (spans[-1][0], lead.end())
            start = min(end, lead.end() + len(text[lead.end() : end]) - len(text[lead.end() : end].lstrip()))
        if start < end:
            spans.append((start, end))
    return spans


def _open(text: str) -> bool:
    return text.count("[[") > text.count("]]")


def expanded(text: str, evidence: Mapping[str, str], tag: str) -> str:
    """The bare words of a note, its quotes and those behind its markers included: what two wordings of it share."""
    with_quotes = _QUOTE.sub(r" \1 ", text)

    def quoted(match: re.Match[str]) -> str:
        return " ".join(evidence.get(marker, "") for marker in markers_in(match[0], tag))

    return " ".join(_WORD.findall(marker_pattern(tag).sub(quoted, with_quotes).lower()))
