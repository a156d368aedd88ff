"""A trace as a record: the object behind ``coa trace --json``, which the page and the terminal are made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from coa.attribution.base import Batch, Cause, Found, Segment
from coa.attribution.flags import gives_orders
from coa.attribution.hops import Hop, HopCause
from coa.attribution.outline import Outline
from coa.attribution.trace import Trace
from coa.documents import Document

_NAMED_RANGES = 12
CAUSE_WORDS = {
    "logprobs": "causes",
    "ptrue": "support, as the model judges it",
    "regenerate": "causes, by asking again (noisy)",
    "support": "similar wording",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """The segments that are blamed, numbered from 1 by first appearance in the answer."""

    numbers: Mapping[int, int]

    def __getitem__(self, segment: int) -> int:
        return self.numbers[segment]


def numbered(trace: Trace) -> Numbered:
    """Number the causes of a trace."""
    segments = dict.fromkeys(cause.segment for claim in trace.claims for cause in claim.found.causes)
    return Numbered(numbers={segment: number for number, segment in enumerate(segments, 1)})


def trace_to_dict(trace: Trace, documents: Sequence[Document]) -> dict[str, Any]:
    """The object that ``coa trace --json`` prints; documented in ``docs/traceback.md``."""
    numbers = numbered(trace)
    sources = {document.id: document for document in documents}
    named = _Named(trace.segments, documents)
    return {
        "question": trace.question,
        "answer": trace.answer,
        "run_id": trace.run_id,
        "scorer": trace.scorer,
        "kind": trace.kind,
        "method": trace.method,
        "seed": trace.seed,
        "documents": [asdict(document) for document in trace.documents],
        "claims": [
            {
                "start": claim.start,
                "end": claim.end,
                "text": trace.answer[claim.start : claim.end],
                "verdict": claim.found.verdict,
                **_values(claim.found),
                "causes": [_cause(cause, trace, sources, numbers) for cause in claim.found.causes],
                "hops": [_hop(hop, sources) for hop in claim.hops],
                "curve": _curve(claim.found),
                "rounds": [_round(batch, named) for batch in claim.found.batches],
            }
            for claim in trace.claims
        ],
        "forensics": _forensics(trace, sources, numbers),
        "deletion": _deletion(trace, sources, numbers),
        "examined": trace.examined,
        "unexamined": trace.unexamined,
        "search": asdict(trace.search),
        "usage": asdict(trace.usage),
        "warnings": list(trace.warnings),
    }


def trace_to_json(trace: Trace, documents: Sequence[Document]) -> str:
    """One JSON object, one line."""
    return json.dumps(trace_to_dict(trace, documents), ensure_ascii=False)


def _values(found: Found) -> dict[str, Any]:
    names = ("v_all", "v_none", "v_only", "v_without")
    values = {name: getattr(found, name) for name in names}
    rounded = {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}
    return {**rounded, "certified": found.certified, "complete": found.complete, "found_by": found.method}


def _cause(cause: Cause, trace: Trace, sources: Mapping[str, Document], numbers: Numbered) -> dict[str, Any]:
    segment = trace.segments[cause.segment]
    return {
        "number": numbers[cause.segment],
        **_place(segment, sources),
        "phi": round(cause.phi, 4),
        "alone": round(cause.alone, 4),
        "drop": round(cause.drop, 4),
        "role": cause.role,
        "gives_orders": gives_orders(segment.text),
    }


def _hop(hop: Hop, sources: Mapping[str, Document]) -> dict[str, Any]:
    """One agent's sentence and what in its prompt it rests on; ``hop`` is the place of the hop behind a note."""
    return {
        "agent": hop.agent,
        "part": hop.part,
        "parts": hop.parts,
        "text": hop.text,
        "verdict": hop.found.verdict,
        **_values(hop.found),
        "causes": [_hop_cause(cause, sources) for cause in hop.causes],
        "curve": _curve(hop.found),
    }


def _hop_cause(cause: HopCause, sources: Mapping[str, Document]) -> dict[str, Any]:
    span, place = cause.span, dict[str, Any]()
    if span is not None:
        document = sources[span.doc]
        place = {**asdict(span), "path": document.path, "line": document.line(span.start)}
    return {
        "kind": cause.kind,
        "quote": cause.text,
        **place,
        "phi": round(cause.phi, 4),
        "alone": round(cause.alone, 4),
        "drop": round(cause.drop, 4),
        "role": cause.role,
        "hop": cause.hop,
    }


def agent_name(hop: Mapping[str, Any]) -> str:
    """``worker 3 of 16``, or the role alone."""
    return f"{hop['agent']} {hop['part']} of {hop['parts']}" if hop["part"] is not None else str(hop["agent"])


def _curve(found: Found) -> dict[str, list[float]]:
    return {"kept": _rounded(found.kept), "left": _rounded(found.left)}


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 4) for value in values]


class _Named:
    """The sections of ranges of segments, by the headings above them; read when the first is asked for."""

    def __init__(self, segments: Sequence[Segment], documents: Sequence[Document]) -> None:
        self._segments, self._documents = segments, documents

    @cached_property
    def _outline(self) -> Outline:
        return Outline(self._documents)

    def titles(self, ranges: Sequence[tuple[int, int]]) -> list[str]:
        """Each once, in order; those of the first ranges of many."""
        spans = [(self._segments[first].span, self._segments[last].span) for first, last in ranges[:_NAMED_RANGES]]
        found = dict.fromkeys(self._outline.title(first, last) for first, last in spans)
        return [title for title in found if title]


def _round(batch: Batch, named: _Named) -> dict[str, Any]:
    """One round of a search; of a coalition with many ranges only the first are listed."""
    best = [
        {
            "ranges": [list(each) for each in shown.segments[:_NAMED_RANGES]],
            "more": max(0, len(shown.segments) - _NAMED_RANGES),
            "sections": named.titles(shown.segments),
            "value": round(shown.value, 4),
        }
        for shown in batch.best
    ]
    figures = {name: getattr(batch, name) for name in ("asked", "least", "most")}
    return {**figures, "low": round(batch.low, 4), "high": round(batch.high, 4), "best": best}


def _forensics(trace: Trace, sources: Mapping[str, Document], numbers: Numbered) -> dict[str, Any] | None:
    looked = trace.forensics
    if looked is None:
        return None

    def place(segment: int) -> dict[str, Any]:
        return {"number": numbers.numbers.get(segment), **_place(trace.segments[segment], sources)}

    return {
        "orders": [place(segment) for segment in looked.orders],
        "conflicts": [
            {"claim": each.claim + 1, "effect": round(each.effect, 4), **place(each.segment)}
            for each in looked.conflicts
        ],
        "removed": [place(segment) for segment in looked.removed],
        "before": looked.before,
        "without": looked.without,
        "kept": None if looked.kept is None else round(looked.kept, 4),
        "complete": looked.complete,
    }


def _deletion(trace: Trace, sources: Mapping[str, Document], numbers: Numbered) -> dict[str, Any] | None:
    curve = trace.deletion
    if curve is None:
        return None
    points = [
        {
            "number": numbers.numbers.get(point.segment),
            **_place(trace.segments[point.segment], sources),
            "value": round(point.value, 4),
            "answer": point.answer,
            "kept": round(point.kept, 4),
        }
        for point in curve.points
    ]
    return {
        "whole": round(curve.whole, 4),
        "points": points,
        "calls": curve.calls,
        "equivalents": round(curve.equivalents, 4),
        "complete": curve.complete,
    }


def _place(segment: Segment, sources: Mapping[str, Document]) -> dict[str, Any]:
    document = sources[segment.span.doc]
    return {
        **asdict(segment.span),
        "quote": segment.text,
        "path": document.path,
        "line": document.line(segment.span.start),
        "page": document.page(segment.span.start),
    }
