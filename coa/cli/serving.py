"""What ``coa vllm`` says: of a server, of what was tried with it, of what a plan holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coa.cli.run import as_json
from coa.errors import UsageError

if TYPE_CHECKING:
    from coa.serving.vllm.arithmetic import Architecture, Capacity
    from coa.serving.vllm.checkup import Check
    from coa.serving.vllm.probe import Findings

_WIDTHS = {"bf16": 2.0, "fp8": 1.0}


def told(found: Findings) -> str:
    """What a server is, in five lines."""
    version = f"vLLM {found.version}" if found.version else "a server that does not say it is vLLM"
    window = f"{found.window:,} tokens" if found.window else "unknown"
    doubt = ", or unknown: our plug-in did not run there" if found.attention is None else ""
    share = "" if found.density is None else f", {found.density:.0%} of the keys looked at"
    return (
        f"{found.url}: {version}\nmodel              {', '.join(found.models) or 'none'}\nwindow             {window}\n"
        f"prefix cache       {_cache(found)}\nattention          {found.computes}{doubt}{share}"
    )


def _cache(found: Findings) -> str:
    if found.caching is False:
        return "off"
    if found.prefix_queries is None:
        return "not reported"
    size = f", in blocks of {found.block} tokens" if found.block else ""
    share = (found.prefix_hits or 0) / found.prefix_queries if found.prefix_queries else 0.0
    used = f"; {share:.0%} of {found.prefix_queries:,.0f} prompt tokens came from it" if found.prefix_queries else ""
    return f"on{size}{used}"


def listed(checks: Iterable[Check]) -> str:
    """What was tried, a line each, with how to mend what does not work."""
    lines: list[str] = []
    for check in checks:
        lines.append(f"{check.subject:<18} {'' if check.works else 'problem: '}{check.state}\n")
        if check.mend:
            lines.append(f"{'':<18} -> {check.mend}\n")
    return "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a plan is asked for; ``host_memory`` in bytes."""

    context: int | None
    gpu: str
    gpus: int
    kv: str
    streaming: float
    host_memory: float


def plan(name: str, asked: Asked, json: bool) -> str:
    """The plan of a model, with its variants.

    Raises:
        UsageError: an unknown model, GPU or cache, or figures that make no sense.
    """
    from coa.serving.vllm.arithmetic import architecture_of, capacity, variants

    if asked.kv not in _WIDTHS:
        raise UsageError(f"unknown kind of cache {asked.kv!r}", hint="Choose bf16 or fp8.")
    model = architecture_of(name)
    given: dict[str, Any] = {
        "context": asked.context,
        "gpus": asked.gpus,
        "kv_bytes": _WIDTHS[asked.kv],
        "streaming": asked.streaming,
        "host_memory": asked.host_memory,
    }
    found = capacity(name, model, asked.gpu, **given)
    others: dict[str, Capacity] = {}
    for kind, (other, changed) in variants(model).items():
        others[kind] = capacity(name, other, asked.gpu, **{**given, **changed})
    if json:
        about = model.model_dump(include={"rope", "chat_template", "reasoning_parser"})
        smaller = {kind: other.model_dump(include=_COMPARED) for kind, other in others.items()}
        return as_json({**found.model_dump(), **about, "longest": model.longest, "variants": smaller})
    return _rows(found, model, asked) + _variants(found, others)


_COMPARED = {"kv_bytes_per_user", "users", "prefill_seconds", "switch_seconds"}


def _rows(found: Capacity, model: Architecture, asked: Asked) -> str:
    rows = [
        ("model", f"{found.model} on {found.gpus} x {found.gpu}, {found.context:,} tokens a user"),
        ("weights", f"{found.weights_bytes / 1e9:.1f} GB"),
        ("KV cache", f"{found.kv_bytes_per_token:,} bytes a token, {found.kv_bytes_per_user / 1e9:.2f} GB a user"),
        ("users", f"{found.users} at once"),
        ("reading", f"{found.prefill_seconds:.1f} s a prompt of that length, at half of the peak"),
        ("writing", f"{1 / found.decode_seconds_per_token:.0f} tokens a second for one user, at most"),
        ("switching", f"{found.switch_seconds:.2f} s to bring a user's cache back from the host"),
    ]
    if asked.host_memory:
        rows.append(
            ("waiting", f"{found.parked} more users, their caches in {asked.host_memory / 1e9:g} GB of the host")
        )
    if not found.fits_context:
        rows.append(("warning", f"longer than the {model.longest:,} tokens that the model was made for"))
    rows += [(name, said) for name, said in _about(model, found.context) if said]
    return "".join(f"{name:<11} {value}\n" for name, value in rows)


def _about(model: Architecture, tokens: int) -> list[tuple[str, str]]:
    stretched = model.extension is not None and model.extension.beyond < tokens <= model.longest
    return [
        ("positions", model.rope + ("; coa vllm adds the scaling" if stretched else "")),
        ("chat", "" if model.chat_template else "no template: give vLLM one, -- --chat-template FILE"),
        (
            "thinking",
            f"--reasoning-parser {model.reasoning_parser}, added by coa vllm" if model.reasoning_parser else "",
        ),
        ("note", model.note),
    ]


def _variants(found: Capacity, others: dict[str, Capacity]) -> str:
    head = f"\n{'the same, if':<36} {'GB a user':>10} {'users':>6} {'reading s':>10} {'switching s':>12}\n"
    lines = [
        f"{kind:<36} {each.kv_bytes_per_user / 1e9:>10.2f} {each.users:>6} {each.prefill_seconds:>10.1f} "
        f"{each.switch_seconds:>12.2f}\n"
        for kind, each in {"as it is": found, **others}.items()
    ]
    return head + "".join(lines)
