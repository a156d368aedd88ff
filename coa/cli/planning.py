"""A plan as text or JSON."""

from __future__ import annotations

from dataclasses import asdict

from coa.cli.run import as_json as to_json
from coa.forecast import Alternative, Plan, Stage


def render_plan(plan: Plan, *, as_json: bool) -> str:
    """Calls, tokens, money and time, at most."""
    if as_json:
        return to_json(asdict(plan))
    cost = "unknown (give --prices IN,OUT)" if plan.cost_usd is None else f"{plan.cost_usd:.4f} USD at most"
    time = (
        "runs here"
        if plan.seconds is None
        else f"about {plan.seconds:.0f} s at 5,000 prompt and 50 reply tokens a second"
    )
    rows = [
        ("documents", ", ".join(f"{source.path} ({source.chars:,} characters)" for source in plan.documents)),
        ("model", f"{plan.model}, window {plan.window:,} tokens, counted with {plan.tokenizer}"),
        ("reading", f"{plan.chunks} parts, topology {plan.topology}, order {plan.order}, paths {plan.paths}"),
        ("calls", f"{plan.calls}, of which {plan.serial_calls} must wait for one another"),
        ("tokens", f"{plan.prompt_tokens:,} in, {plan.completion_tokens:,} out, at most"),
        *((f"  {stage.name}", _stage(stage)) for stage in plan.stages),
        ("cost", cost),
        ("time", time),
        *(("or", _alternative(other)) for other in plan.alternatives if not _is_chosen(other, plan)),
        *(("warning", warning) for warning in plan.warnings),
        *(("not loaded", failure) for failure in plan.failures),
    ]
    return "".join(f"{name:<11} {value}\n" for name, value in rows)


def _stage(stage: Stage) -> str:
    cost = "" if stage.cost_usd is None else f", {stage.cost_usd:.4f} USD"
    return f"{stage.calls} calls, {stage.prompt_tokens:,} tokens in, {stage.completion_tokens:,} out{cost}"


def _is_chosen(other: Alternative, plan: Plan) -> bool:
    return (other.topology, other.paths) == (plan.topology, plan.paths)


def _alternative(other: Alternative) -> str:
    cost = "" if other.cost_usd is None else f", {other.cost_usd:.4f} USD"
    paths = "" if other.paths == "one" else f" --paths {other.paths}"
    time = "" if other.seconds is None else f", about {other.seconds:.0f} s"
    return (
        f"--topology {other.topology}{paths}: {other.calls} calls, {other.serial_calls} one after the other, "
        f"{other.prompt_tokens:,} tokens in, {other.completion_tokens:,} out{cost}{time}"
    )
