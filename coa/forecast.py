"""What a run will cost, before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from coa.types import Source

PROMPT_TOKENS_PER_SECOND = 5_000
REPLY_TOKENS_PER_SECOND = 50
"""The speeds that `Plan.seconds` assumes: a mid-sized model on one current GPU, or a common API."""


class _Asked(Protocol):
    """What is asked of a model; `coa.pipelines.base.Calls` is one."""

    @property
    def calls(self) -> int: ...

    @property
    def serial(self) -> int: ...

    @property
    def prompt_tokens(self) -> int: ...

    @property
    def completion_tokens(self) -> int: ...


def seconds_of(asked: _Asked, concurrency: int = 1) -> float:
    """About how long calls take at the assumed speeds: their critical path, or longer where few may be in flight."""
    work = asked.prompt_tokens / PROMPT_TOKENS_PER_SECOND + asked.completion_tokens / REPLY_TOKENS_PER_SECOND
    rounds = max(asked.serial, -(-asked.calls // concurrency))
    return work * rounds / max(1, asked.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """What another way of reading would cost, at most; ``serial_calls`` must wait for one another."""

    topology: str
    paths: str
    calls: int
    serial_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One kind of work of a run, such as planning or writing, and its share of the price."""

    name: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """An upper bound of calls, tokens, money and time. A re-asked or re-split part may add calls; budgets still hold.

    Attributes:
        tokenizer: What the tokens were counted with.
        window: Tokens of prompt and reply together that the run will use.
        serial_calls: Calls that must wait for one another.
        completion_tokens: Upper bound; models usually write less.
        cost_usd: None where no price is known; 0.0 for models that cost nothing.
        seconds: At the assumed speeds of this module; None for models that run here.
        failures: Sources that could not be loaded, with the reason.
        stages: The same by kind of work, where a run has several.
    """

    model: str
    tokenizer: str
    window: int
    topology: str
    order: str
    paths: str = "one"
    documents: tuple[Source, ...]
    chunks: int
    calls: int
    serial_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None
    seconds: float | None
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    stages: tuple[Stage, ...] = ()
