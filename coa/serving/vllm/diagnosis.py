"""Why a vLLM did not start: its own last lines, and what they mean where that is known."""

from __future__ import annotations

import re
from pathlib import Path

from coa.errors import CoaError, ModelError, ProviderUnavailable, UsageError

_LAST_LINES = 8
_CONSEQUENCE = "(?:Engine core init|Worker failed|WorkerProc init)"
_RAISED = re.compile(rf"(?:^|[ :.])(\w*(?:Error|Exception): (?!{_CONSEQUENCE}).{{1,300}})", re.MULTILINE)
_LAST_BYTES = 200_000
_NEAR = 300

_NO_MEMORY = "it does not fit into the memory"
_LESS = "Give a smaller --context, more GPUs, or -- --gpu-memory-utilization; `coa vllm plan MODEL` says what fits."
_CAUSES: tuple[tuple[str, type[CoaError], str, str], ...] = (
    (
        r"Failed to infer device type",
        ModelError,
        "it found no GPU",
        "This build of vLLM needs one; COA_VLLM_PYTHON may name an interpreter with a build for processors.",
    ),
    (
        r"error: (?P<what>(?:unrecognized argument|ambiguous option|argument ).{1,200})",
        UsageError,
        "{what}",
        "What stands behind -- is for vLLM: see its --help. If you gave nothing there, this vLLM is too old.",
    ),
    (
        r"(?P<what>the table of heads .{1,300} layers of \d+ heads)",
        UsageError,
        "{what}",
        "Use the table of this very model, or make one with the profiler.",
    ),
    (
        r"head_size not supported|[Uu]nsupported head[_ ]?(?:size|dim)",
        UsageError,
        "the size of the model's heads is not supported by this vLLM",
        "Leave the profile out, or take another model.",
    ),
    (
        r"needed, which is larger than the available KV cache|No available memory for the cache blocks",
        ModelError,
        f"{_NO_MEMORY}: no room for the KV cache of that context",
        _LESS,
    ),
    (
        r"[Oo]ut ?[Oo]f ?[Mm]emory|is less than (?:desired (?:GPU|CPU)|requested) memory|MemoryError|annot allocate",
        ModelError,
        _NO_MEMORY,
        _LESS,
    ),
    (
        r"max_model_len \((?P<what>\d+)\) is greater than the derived max_model_len",
        UsageError,
        "{what} tokens are more than the model was made for",
        "Give a smaller --context, or positions that are scaled: -- --hf-overrides JSON.",
    ),
    (
        r"couldn't connect to|LocalEntryNotFoundError|is not a (?:valid model identifier|local folder)",
        UsageError,
        "the model's files cannot be had",
        "Check the model's name; without a network, give the path of its folder.",
    ),
)


def why(code: int | None, log: Path, *, was_ready: bool = False) -> CoaError:
    """The error of a server that ended, or never was ready.

    Args:
        code: What the process returned; None if it ran on and never was ready.
        log: What it wrote.
        was_ready: Whether it had been ready before.
    """
    text = _end_of(log)
    raised = _raised(text)
    lines = "\n".join([*raised, *text.splitlines()[-_LAST_LINES:]])
    when = "" if was_ready else " before it was ready"
    happened = "vLLM was not ready in time" if code is None else f"vLLM ended with code {code}{when}"
    for pattern, kind, meaning, mend in _CAUSES:
        if found := re.search(pattern, text):
            meant = meaning.format(**found.groupdict())
            return kind(f"{happened}: {meant}\n{_line(text, found)}", hint=f"{mend} The whole log is in {log}.")
    # One of its processes is gone, and none had anything to say: Linux ends a program like that when memory runs out.
    if code == -9 or (not raised and re.search(rf"Error: {_CONSEQUENCE}|Exception: {_CONSEQUENCE}", text)):
        return ModelError(f"{happened}, killed, perhaps for want of memory:\n{lines}", hint=_LESS)
    return ProviderUnavailable(f"{happened}:\n{lines}", hint=f"The whole log is in {log}.")


def _raised(text: str) -> list[str]:
    """The first error that was raised: those after it are its consequences, and hide it."""
    found = _RAISED.search(text)
    return [found[1], "..."] if found else []


def _line(text: str, found: re.Match[str]) -> str:
    """The line that says it, with nothing of a long one but what is near."""
    start = max(text.rfind("\n", 0, found.start()) + 1, found.start() - _NEAR)
    end = text.find("\n", found.end())
    return text[start : min(end if end >= 0 else len(text), found.end() + _NEAR)].strip()


def _end_of(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LAST_BYTES))
        return file.read().decode("utf-8", "replace")
