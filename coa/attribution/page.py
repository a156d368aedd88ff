"""A trace as one HTML file: answer, evidence, sources, figures; no network, no script or picture from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from coa.attribution.report import CAUSE_WORDS, Numbered, agent_name, numbered, trace_to_dict
from coa.attribution.trace import Trace
from coa.documents import Document

_BLOCK_CHARS = 4000
_WIDTH, _HEIGHT, _MARGIN = 320.0, 120.0, 8.0
_CLASSES = {"certified": "full", "partly explained": "partly", "support only": "alike", "unfinished": "unfinished"}
_SIGNS = {"full": "✓", "partly": "◐", "alike": "≈", "none": "✗", "unfinished": "…"}


def trace_to_html(trace: Trace, documents: Sequence[Document]) -> str:
    """One HTML file that needs no network. Everything that came from outside is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("coa.attribution").joinpath("html")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(folder.joinpath("report.html").read_text("utf-8"))
    data = trace_to_dict(trace, documents)
    return template.render(
        css=Markup(folder.joinpath("report.css").read_text("utf-8")),
        js=Markup(folder.joinpath("report.js").read_text("utf-8")),
        data=data,
        pieces=_answer_pieces(trace, data),
        sources=[_marked(document, trace, data) for document in documents],
        ticks=_ticks(documents, trace),
        verdict=_verdict(data),
        kind=CAUSE_WORDS[trace.kind],
        kind_of=_kind_of,
        signs=_SIGNS,
        agent_name=agent_name,
        numbers=_numbers_by_place(data),
        bars=[_bars(claim) for claim in data["claims"]],
        curve_of=_curve,
        shown=_shown,
        embedded=Markup(_embedded(data)),
    )


def _embedded(data: Mapping[str, Any]) -> str:
    """JSON that cannot end the script element that it stands in."""
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def _kind_of(verdict: str) -> str:
    return _CLASSES.get(verdict, "none")


def _verdict(data: Mapping[str, Any]) -> str:
    """The whole result in a sentence."""
    claims = data["claims"]
    verdicts = [claim["verdict"] for claim in claims]
    if len(claims) == 1 and claims[0]["certified"]:
        claim = claims[0]
        these = "this passage" if len(claim["causes"]) == 1 else f"these {len(claim['causes'])} passages"
        if claim["hops"]:
            return f"Certified: every hop from the answer to {these} is enough by itself, and nothing else would do."
        return (
            f"Certified: {these} alone give the answer ({claim['v_only']:.1f} against {claim['v_all']:.1f} nats with "
            f"everything); without, {claim['v_without']:.1f}."
        )
    parts = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)]
    return f"{len(verdicts)} {'claim' if len(verdicts) == 1 else 'claims'}: {', '.join(parts)}"


def _answer_pieces(trace: Trace, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The answer cut at its claims: nothing of it is lost, blanks between claims included."""
    pieces: list[dict[str, Any]] = []
    at = 0
    for number, claim in enumerate(data["claims"], 1):
        pieces.append({"text": trace.answer[at : claim["start"]], "claim": None})
        pieces.append({"text": claim["text"], "claim": {**claim, "number": number}})
        at = claim["end"]
    return [*pieces, {"text": trace.answer[at:], "claim": None}]


def _marked(document: Document, trace: Trace, data: Mapping[str, Any]) -> dict[str, Any]:
    """A document in blocks of lines, each cut at the segments that are blamed."""
    numbers = numbered(trace)
    marks = sorted(
        (trace.segments[segment].span.start, trace.segments[segment].span.end, number)
        for segment, number in numbers.numbers.items()
        if trace.segments[segment].span.doc == document.id
    )
    heat = _heat(data)
    about = {number: {"claims": _claims_of(number, trace, numbers), "heat": heat[number]} for _, _, number in marks}
    return {"path": document.path, "id": document.id, "blocks": _blocks(document, marks, about), "count": len(marks)}


def _heat(data: Mapping[str, Any]) -> dict[int, int]:
    """How strongly each number is marked, in percent: its share of the strongest cause of its claim, 35 at least."""
    heat: dict[int, int] = {}
    for claim in data["claims"]:
        most = max((cause["phi"] for cause in claim["causes"]), default=0.0) or 1.0
        for cause in claim["causes"]:
            share = max(0.35, min(1.0, cause["phi"] / most))
            heat[cause["number"]] = max(heat.get(cause["number"], 0), round(100 * share))
    return heat


def _ticks(documents: Sequence[Document], trace: Trace) -> list[dict[str, Any]]:
    """Where the marks stand in all sources together, in percent from the top."""
    whole = sum(len(document.text) for document in documents) or 1
    before, offsets = 0, dict[str, int]()
    for document in documents:
        offsets[document.id] = before
        before += len(document.text)
    return [
        {"number": number, "top": round(100 * (offsets[span.doc] + span.start) / whole, 3)}
        for segment, number in numbered(trace).numbers.items()
        for span in (trace.segments[segment].span,)
    ]


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
    document: Document, marks: Sequence[tuple[int, int, int]], about: Mapping[int, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Blocks end at line breaks outside of marks, so that a browser can skip those that are out of sight."""
    text, blocks, at, todo = document.text, list[dict[str, Any]](), 0, list(marks)
    while at < len(text):
        end = _block_end(text, at, todo)
        pieces: list[dict[str, Any]] = []
        marked = bool(todo) and todo[0][0] < end
        while todo and todo[0][0] < end:
            start, stop, number = todo.pop(0)
            pieces.append({"text": text[at:start], "number": None})
            pieces.append({"text": text[start:stop], "number": number, **about[number]})
            at = stop
        pieces.append({"text": text[at:end], "number": None})
        blocks.append({"pieces": pieces, "marked": marked})
        at = end
    return blocks


def _block_end(text: str, at: int, marks: Sequence[tuple[int, int, int]]) -> int:
    end = text.find("\n", at + _BLOCK_CHARS) + 1 or len(text)
    for start, stop, _ in marks:
        if start < end < stop:
            end = stop
    return end


def _bars(claim: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What-if: how likely the claim is with parts of the sources, as widths in percent of the best."""
    if claim["found_by"] == "support":
        return []
    names = (("all sources", "v_all"), ("these alone", "v_only"), ("all but these", "v_without"), ("nothing", "v_none"))
    known = [(name, claim[key]) for name, key in names if claim[key] is not None]
    low, high = min((v for _, v in known), default=0.0), max((v for _, v in known), default=0.0)
    spread = (high - low) or 1.0
    return [{"name": name, "value": v, "width": round(4 + 96 * (v - low) / spread, 1)} for name, v in known]


def _curve(claim: Mapping[str, Any]) -> dict[str, Any] | None:
    """A claim or hop as its causes are shown one after the other, and as they are taken away, best first: an SVG."""
    kept, left = claim["curve"]["kept"], claim["curve"]["left"]
    if not kept or claim["found_by"] == "support":
        return None
    shown, taken = [claim["v_none"], *kept], [claim["v_only"], *left]
    values = [*shown, *taken, claim["v_all"]]
    low, high = min(values), max(values)
    return {
        "shown": list(_points(shown, low, high)),
        "taken": list(_points(taken, low, high)),
        "all": round(_y(claim["v_all"], low, high), 1),
        "low": low,
        "high": high,
        "width": _WIDTH,
        "height": _HEIGHT,
        "causes": len(kept),
    }


def _points(values: Sequence[float], low: float, high: float) -> Iterator[tuple[float, float]]:
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(values) - 1)
    for place, value in enumerate(values):
        yield round(_MARGIN + step * place, 1), round(_y(value, low, high), 1)


def _y(value: float, low: float, high: float) -> float:
    return _MARGIN + (_HEIGHT - 2 * _MARGIN) * (high - value) / ((high - low) or 1.0)


def _shown(best: Mapping[str, Any]) -> str:
    """``3, 14-20 and 5 more stretches (Chapter 2 > The storm)``: segments counted from 1."""
    parts = [str(a + 1) if a == b else f"{a + 1}-{b + 1}" for a, b in best["ranges"]]
    more = f" and {best['more']} more stretches" if best["more"] else ""
    where = f" ({'; '.join(best['sections'])})" if best["sections"] else ""
    return (", ".join(parts) or "nothing") + more + where
