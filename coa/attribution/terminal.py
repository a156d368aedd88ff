"""A trace for a terminal: claims, their causes, and where in the sources they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.style import Style
from rich.text import Text

from coa.attribution.report import CAUSE_WORDS, agent_name, trace_to_dict
from coa.attribution.trace import Trace
from coa.documents import Document
from coa.report import printable

_QUOTE_CHARS = 200
_CELLS = 60
_HEAT = " ░▒▓█"
_MARKS = {
    "certified": ("✓", "green"),
    "partly explained": ("◐", "yellow"),
    "support only": ("≈", "cyan"),
    "unfinished": ("…", "yellow"),
}
_NONE = ("✗", "red")


def trace_to_text(trace: Trace, documents: Sequence[Document], *, color: bool = False) -> str:
    """Claims with their causes, the agents' hops, the closer look, and a heat map of each source.

    Args:
        trace: The trace.
        documents: Its sources.
        color: With the codes that a terminal makes colours of.
    """
    data = trace_to_dict(trace, documents)
    lines = [_line(f"{CAUSE_WORDS[trace.kind]} found by {trace.method}, scored by {trace.scorer}"), Text()]
    for claim in data["claims"]:
        lines += [*_claim(claim, trace.kind), Text()]
    lines += [*_closer(data["forensics"]), *_deleted(data["deletion"])]
    lines += [*_heat_maps(data, documents), _line(_cost(data), "dim")]
    return _written(lines, color)


def _written(lines: Sequence[Text], color: bool) -> str:
    if not color:
        return "".join(line.plain + "\n" for line in lines)
    out = StringIO()
    console = Console(file=out, force_terminal=True, color_system="256", soft_wrap=True, highlight=False)
    for line in lines:
        console.print(line)
    return out.getvalue()


def _line(text: str, style: str | Style = "") -> Text:
    """Text from outside never carries control codes into the terminal."""
    return Text(printable(text), style=style)


def _claim(claim: Mapping[str, Any], kind: str) -> Iterator[Text]:
    mark, color = _MARKS.get(claim["verdict"], _NONE)
    chips = "".join(f"[{cause['number']}]" for cause in claim["causes"])
    yield Text.assemble((f"{mark} ", color), _line(claim["text"], "bold"), (f" {chips}" if chips else "", "cyan"))
    yield _line(f"    {claim['verdict']}{_gain(claim)}", color)
    most = max((cause["phi"] for cause in claim["causes"]), default=1.0) or 1.0
    for cause in claim["causes"]:
        yield _cause_line(cause, _figures(cause, kind, claim["v_only"] is not None), max(0.0, cause["phi"]) / most)
    yield from (_line(text, "dim") for text in _hop_lines(claim, kind))


def _figures(cause: Mapping[str, Any], kind: str, scored: bool) -> str:
    if kind == "support":
        return f"shares {cause['phi']:.0%}"
    return f"{cause['role']}, {cause['phi']:+.1f} nats" if scored else f"{cause['role']}, not scored"


def _cause_line(cause: Mapping[str, Any], figures: str, share: float) -> Text:
    page = f" (page {cause['page']})" if cause["page"] is not None else ""
    orders = " ! gives orders to a model" if cause["gives_orders"] else ""
    where = f"    [{cause['number']}] {cause['path']}:{cause['line']}{page} {figures}"
    return Text.assemble(
        _line(where), (orders, "bold red"), ": ", _line(f"“{_shortened(cause['quote'])}”", _warmth(share))
    )


def _warmth(share: float) -> Style:
    """From pale to deep yellow, black on it: readable at every step."""
    return Style(color="black", bgcolor=("grey93", "light_goldenrod1", "khaki1", "gold1")[min(3, int(4 * share))])


def _heat_maps(data: Mapping[str, Any], documents: Sequence[Document]) -> Iterator[Text]:
    """One strip a source: the darker a cell, the more of the claims rests on what stands there."""
    causes = [cause for claim in data["claims"] for cause in claim["causes"]]
    for document in documents:
        heat = [0.0] * _CELLS
        for cause in causes:
            if cause["doc"] == document.id:
                cell = min(_CELLS - 1, _CELLS * cause["start"] // max(1, len(document.text)))
                heat[cell] += max(0.0, cause["phi"])
        most = max(heat)
        if not most:
            continue
        steps = [0 if not each else 1 + min(3, int(4 * each / most)) for each in heat]
        strip = Text("  ▕")
        for step in steps:
            strip.append(_HEAT[step], style="yellow" if step else "")
        yield Text.assemble(strip, "▏ ", _line(document.path))


def _closer(looked: Mapping[str, Any] | None) -> Iterator[Text]:
    """What a forensic look found, in words."""
    if looked is None:
        return
    yield _line("a closer look", "bold")
    for item in looked["orders"]:
        part = f"cause [{item['number']}]" if item["number"] else "no cause"
        yield _line(f"  ! gives orders, {part}: {item['path']}:{item['line']} “{_shortened(item['quote'])}”", "red")
    for item in looked["conflicts"]:
        where = f"{item['path']}:{item['line']} “{_shortened(item['quote'])}”"
        yield _line(f"  - against claim {item['claim']}, {item['effect']:+.1f} nats: {where}", "magenta")
    if not looked["orders"] and not looked["conflicts"]:
        yield _line("  no passage reads like an order to a model, none speaks against a claim")
    if looked["without"] is not None:
        yield _line(f"  asked again: “{_shortened(looked['before'] or '')}”")
        kept = "" if looked["kept"] is None else f" (keeps {looked['kept']:.0%} of what it said)"
        yield _line(f"  without {_removed(looked)}: “{_shortened(looked['without'])}”{kept}")
    yield Text()


def _removed(looked: Mapping[str, Any]) -> str:
    return "".join(f"[{item['number']}]" for item in looked["removed"])


def _deleted(curve: Mapping[str, Any] | None) -> Iterator[Text]:
    """The chain run again without one sentence more each time."""
    if curve is None:
        return
    yield _line("the chain run again without", "bold")
    yield _line(f"  nothing: log p of the answer {curve['whole']:.1f}")
    for place, point in enumerate(curve["points"]):
        where = f"{'and ' if place else ''}[{point['number']}] {point['path']}:{point['line']}"
        said = f"now “{_shortened(point['answer'])}” (keeps {point['kept']:.0%} of what it said)"
        yield _line(f"  {where}: {point['value']:.1f}, {said}")
    if not curve["complete"]:
        yield _line("  the budget holds no more")
    yield Text()


def _cost(data: Mapping[str, Any]) -> str:
    search = data["search"]
    return f"cost: {search['calls']} calls, {search['equivalents']:.2f} full-context prompts"


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
    figures = (("all", "v_all"), ("these alone", "v_only"), ("all but these", "v_without"), ("nothing", "v_none"))
    known = [f"{name} {claim[key]:.1f}" for name, key in figures if claim[key] is not None]
    return ": log p with " + ", ".join(known) if known and claim["found_by"] != "support" else ""
