"""What workers wrote while they read, as rows of an index: short texts that point back to the stretch they are about.

A cited, contiguous relative of RAPTOR (arXiv 2401.18059), which clusters chunks and has a model summarise each cluster:
here the summaries are by-products of a run, each of one stretch of one document, and only sentences that rest on a
verified quote from that stretch are kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.errors import UsageError
from coa.events import Event, RunFinished, StepDone
from coa.retrieval.base import TEXT, Entry, Record, Store
from coa.sentences import sentence_spans
from coa.types import Notes, Span

KIND = "summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A text about a stretch of the document that lies at ``path`` and has this content."""

    path: str
    sha256: str
    span: Span
    text: str


class Summaries:
    """An `coa.events.Emit` that keeps the notes of a run: pass it as ``on_event`` of `coa.ask` or `coa.summarize`."""

    def __init__(self) -> None:
        self._notes: list[tuple[Span, Notes]] = []
        self._found: list[Summary] = []

    @property
    def found(self) -> Sequence[Summary]:
        """The summaries of the runs that are over."""
        return tuple(self._found)

    def __call__(self, event: Event) -> None:
        """Listen to one event."""
        if isinstance(event, StepDone) and event.span is not None and event.notes is not None:
            self._notes.append((event.span, event.notes))
        elif isinstance(event, RunFinished):
            sources = {source.id: source for source in event.answer.documents}
            for span, notes in self._notes:
                source, text = sources.get(span.doc), cited_part(notes, span)
                if source is not None and text:
                    self._found.append(Summary(path=source.path, sha256=source.sha256, span=span, text=text))
            self._notes.clear()


def cited_part(notes: Notes, span: Span) -> str:
    """The sentences of notes that rest on a quote from ``span``, without their markers.

    Notes that are markers and numbers alone, as the offline engine's are, give the quotes themselves.
    """
    inside = [
        evidence
        for evidence in notes.evidence
        if evidence.span.doc == span.doc and span.start <= evidence.span.start and evidence.span.end <= span.end
    ]
    sentences = [notes.text[start:end] for start, end in sentence_spans(notes.text)]
    kept = " ".join(s for s in sentences if any(f"[{evidence.marker}]" in s for evidence in inside))
    markers = "|".join(re.escape(evidence.marker) for evidence in notes.evidence)
    plain = re.sub(rf"\s*\[(?:{markers})\]", "", kept) if kept else ""
    return plain if not inside or re.search(r"[^\W\d_]", plain) else " ".join(evidence.quote for evidence in inside)


def add_summaries(store: Store, summaries: Sequence[Summary]) -> int:
    """Put summaries beside the units of their documents; those that are there already are left alone.

    Returns:
        How many were new.

    Raises:
        UsageError: a document is not in the index, or not with this content.
    """
    sources = {(source.path, source.sha256): source for source in store.sources()}
    by_document: dict[str, list[Summary]] = {}
    for summary in summaries:
        source = sources.get((summary.path, summary.sha256))
        if source is None:
            raise UsageError(
                f"{summary.path!r} is not in this index as it was read",
                hint="Index the document first, then summarise.",
            )
        by_document.setdefault(source.id, []).append(summary)
    return sum(_add(store, doc, found) for doc, found in by_document.items())


def _add(store: Store, doc: str, summaries: Sequence[Summary]) -> int:
    from coa.retrieval.filters import condition

    document = store.document(doc)
    if document is None:
        return 0
    units = store.units(store.find(condition({"doc": doc}), 1 << 20))
    entries = [
        Entry(
            start=unit.span.start,
            end=unit.span.end,
            page=unit.page,
            section=unit.section,
            kind=unit.kind,
            text=None if unit.kind == TEXT else unit.text,
            fields=unit.fields,
        )
        for unit in units
    ]
    known = {(entry.start, entry.end, entry.text) for entry in entries}
    new = [
        Entry(start=one.span.start, end=one.span.end, page=document.page(one.span.start), kind=KIND, text=one.text)
        for one in dict.fromkeys(summaries)
        if (one.span.start, one.span.end, one.text) not in known
    ]
    if new:
        store.put([Record(document=replace(document, id=doc), entries=[*entries, *new])])
    return len(new)
