"""A trace as others read it: JSON, plain text, one self-contained HTML file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from coa.attribution.base import Cause, Found
from coa.attribution.flags import gives_orders
from coa.attribution.hops import Hop, HopCause
from coa.attribution.trace import Trace
from coa.documents import Document
from coa.report import printable

_QUOTE_CHARS = 200
_BLOCK_CHARS = 4000
_CAUSE_WORDS = {
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
            }
            for claim in trace.claims
        ],
        "examined": trace.examined,
        "unexamined": trace.unexamined,
        "search": asdict(trace.search),
        "usage": asdict(trace.usage),
        "warnings": list(trace.warnings),
    }


def trace_to_json(trace: Trace, documents: Sequence[Document]) -> str:
    """One JSON object, one line."""
    return json.dumps(trace_to_dict(trace, documents), ensure_ascii=False)


def trace_to_text(trace: Trace, documents: Sequence[Document]) -> str:
    """Claims and their causes for a terminal."""
    data = trace_to_dict(trace, documents)
    lines: list[str] = [f"{_CAUSE_WORDS[trace.kind]} found by {trace.method}, scored by {trace.scorer}", ""]
    for claim in data["claims"]:
        chips = "".join(f"[{cause['number']}]" for cause in claim["causes"])
        lines.append(f"{claim['text']} {chips}".rstrip())
        lines.append(f"    {claim['verdict']}{_gain(claim)}")
        lines += [_cause_line(cause, trace.kind) for cause in claim["causes"]]
        lines += _hop_lines(claim, trace.kind)
        lines.append("")
    lines.append(_cost(data))
    return printable("\n".join(lines) + "\n")


def trace_to_html(trace: Trace, documents: Sequence[Document]) -> str:
    """One HTML file that needs no network: answer, sources with the causes marked, and the figures behind them."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("coa.attribution").joinpath("report.html").read_text("utf-8"))
    data = trace_to_dict(trace, documents)
    return template.render(
        data=data,
        pieces=_answer_pieces(trace, data),
        sources=[_marked(document, trace) for document in documents],
        summary=_summary(data),
        kind=_CAUSE_WORDS[trace.kind],
        agent_name=agent_name,
        numbers=_numbers_by_place(data),
        bars=[_bars(claim) for claim in data["claims"]],
        embedded=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028"),
    )


def _cost(data: Mapping[str, Any]) -> str:
    search = data["search"]
    return f"cost: {search['calls']} calls, {search['equivalents']:.2f} full-context prompts"


def _values(found: Found) -> dict[str, Any]:
    names = ("v_all", "v_none", "v_only", "v_without")
    values = {name: getattr(found, name) for name in names}
    rounded = {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}
    return {**rounded, "certified": found.certified, "complete": found.complete, "found_by": found.method}


def _cause(cause: Cause, trace: Trace, sources: Mapping[str, Document], numbers: Numbered) -> dict[str, Any]:
    segment = trace.segments[cause.segment]
    document = sources[segment.span.doc]
    return {
        "number": numbers[cause.segment],
        **asdict(segment.span),
        "quote": segment.text,
        "path": document.path,
        "line": document.line(segment.span.start),
        "page": document.page(segment.span.start),
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


def _hop_lines(claim: Mapping[str, Any], kind: str) -> Iterator[str]:
    """The claim's way through the agents' hands, indented by how far it is from the answer."""
    hops = claim["hops"]

    def below(at: int, depth: int) -> Iterator[str]:
        hop = hops[at]
        yield f"    {'  ' * depth}{agent_name(hop)}: “{_shortened(hop['text'])}” {hop['verdict']}"
        for cause in hop["causes"]:
            share = f"{cause['phi']:.0%}" if kind == "support" else f"{cause['phi']:+.1f} nats"
            where = f"{cause['path']}:{cause['line']}" if "path" in cause else "note"
            yield f"    {'  ' * (depth + 1)}← {where} {share}: “{_shortened(cause['quote'])}”"
            if cause["hop"] is not None and cause["hop"] > at:
                yield from below(cause["hop"], depth + 2)

    if hops:
        yield "    the way through the agents:"
        yield from below(0, 1)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTE_CHARS else line[: _QUOTE_CHARS - 1] + "…"


def _gain(claim: Mapping[str, Any]) -> str:
    if claim["found_by"] == "support" or claim["v_all"] is None:
        return ""
    figures = (("all", "v_all"), ("these alone", "v_only"), ("all but these", "v_without"), ("nothing", "v_none"))
    return ": log p with " + ", ".join(f"{name} {claim[key]:.1f}" for name, key in figures)


def _cause_line(cause: Mapping[str, Any], kind: str) -> str:
    page = f" (page {cause['page']})" if cause["page"] is not None else ""
    share = f"shares {cause['phi']:.0%}" if kind == "support" else f"{cause['role']}, {cause['phi']:+.1f} nats"
    orders = " ! gives orders to a model" if cause["gives_orders"] else ""
    return (
        f"    [{cause['number']}] {cause['path']}:{cause['line']}{page} {share}{orders}: “{_shortened(cause['quote'])}”"
    )


def _answer_pieces(trace: Trace, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer cut at its claims: nothing of it is lost, blanks between claims included."""
    pieces: list[dict[str, Any]] = []
    at = 0
    for number, claim in enumerate(data["claims"], 1):
        pieces.append({"text": trace.answer[at : claim["start"]], "claim": None})
        pieces.append({"text": claim["text"], "claim": {**claim, "number": number}})
        at = claim["end"]
    return [*pieces, {"text": trace.answer[at:], "claim": None}]


def _marked(document: Document, trace: Trace) -> dict[str, Any]:
    """A document in blocks of lines, each cut at the segments that are blamed."""
    numbers = numbered(trace)
    marks = sorted(
        (trace.segments[segment].span.start, trace.segments[segment].span.end, number)
        for segment, number in numbers.numbers.items()
        if trace.segments[segment].span.doc == document.id
    )
    claims = {number: _claims_of(number, trace, numbers) for _, _, number in marks}
    whole = max(1, len(document.text))
    ticks = [{"number": number, "top": round(100 * start / whole, 3)} for start, _, number in marks]
    return {"path": document.path, "id": document.id, "blocks": _blocks(document, marks, claims), "ticks": ticks}


def _numbers_by_place(data: Mapping[str, Any]) -> dict[tuple[str, int, int], int]:
    causes = [cause for claim in data["claims"] for cause in claim["causes"]]
    return {(cause["doc"], cause["start"], cause["end"]): cause["number"] for cause in causes}


def _claims_of(number: int, trace: Trace, numbers: Numbered) -> list[int]:
    """The claims, counted from 1, that a numbered segment is a cause of."""
    return [
        index
        for index, claim in enumerate(trace.claims, 1)
        if any(numbers[cause.segment] == number for cause in claim.found.causes)
    ]


def _blocks(
    document: Document, marks: Sequence[tuple[int, int, int]], claims: Mapping[int, Sequence[int]]
) -> list[list[dict[str, Any]]]:
    """Blocks end at line breaks outside of marks, so that a browser can skip those that are out of sight."""
    text, blocks, at, todo = document.text, list[list[dict[str, Any]]](), 0, list(marks)
    while at < len(text):
        end = _block_end(text, at, todo)
        block: list[dict[str, Any]] = []
        while todo and todo[0][0] < end:
            start, stop, number = todo.pop(0)
            block.append({"text": text[at:start], "number": None})
            block.append({"text": text[start:stop], "number": number, "claims": claims[number]})
            at = stop
        block.append({"text": text[at:end], "number": None})
        blocks.append(block)
        at = end
    return blocks


def _block_end(text: str, at: int, marks: Sequence[tuple[int, int, int]]) -> int:
    end = text.find("\n", at + _BLOCK_CHARS) + 1 or len(text)
    for start, stop, _ in marks:
        if start < end < stop:
            end = stop
    return end


def _summary(data: Mapping[str, Any]) -> str:
    verdicts = [claim["verdict"] for claim in data["claims"]]
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return f"{len(verdicts)} claims: {', '.join(parts)}"


def _bars(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What-if: how likely the claim is with parts of the sources, as widths in percent of the best."""
    if claim["found_by"] == "support" or claim["v_all"] is None:
        return []
    names = (("all sources", "v_all"), ("these alone", "v_only"), ("all but these", "v_without"), ("nothing", "v_none"))
    low, high = min(claim[key] for _, key in names), max(claim[key] for _, key in names)
    spread = (high - low) or 1.0
    return [
        {"name": name, "value": claim[key], "width": round(4 + 96 * (claim[key] - low) / spread, 1)}
        for name, key in names
    ]
