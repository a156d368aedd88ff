"""Several readings of one document: which ways there are, and how each of them is drawn.

The multi-path variants of Chain-of-Agents (arXiv 2406.02818, section 5.5, Tables 7-8): both directions, several samples
of one direction (self-consistency, arXiv 2203.11171), several orders drawn at random.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from coa.errors import UsageError
from coa.pipelines.base import Job
from coa.serving.base import Reply, Request

ONE = "one"
"""Not several: the document is read once."""

KINDS = ("bidirectional", "self-consistency", "permutations")
_DEFAULT_COUNT = 5
_MOST = 64
_TEMPERATURE = 0.7
"""Of samples. The paper prints none; self-consistency was published with 0.5 to 0.7."""
_HINT = f"Choose {ONE}, bidirectional, self-consistency:N or permutations:N."


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One reading: its name, the order of the chunks, and how its replies are drawn."""

    name: str
    order: tuple[int, ...]
    sample: int
    temperature: float = 0.0

    def job(self, job: Job) -> Job:
        """The job of this reading; its calls are told from those of the others by the sample's index."""
        return replace(job, order=self.order, ctx=replace(job.ctx, call=self._drawn(job.ctx.call)))

    def _drawn(self, call: Callable[[Request], Awaitable[Reply]]) -> Callable[[Request], Awaitable[Reply]]:
        # Samples of one prompt differ by their seed, so that a server which honours it repeats all of them.
        seed = self.sample if self.temperature else None

        async def drawn(request: Request) -> Reply:
            return await call(replace(request, sample=self.sample, temperature=self.temperature, seed=seed))

        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """How many readings, and what sets them apart."""

    kind: str
    count: int

    def ways(self, order: tuple[int, ...]) -> tuple[Way, ...]:
        """The readings, given the order of a single one. Fewer where there are not so many different orders."""
        if self.kind == "self-consistency":
            names = [f"sample {i + 1}" for i in range(self.count)]
            return tuple(
                Way(name=name, order=order, sample=i, temperature=_TEMPERATURE) for i, name in enumerate(names)
            )
        orders = _both(order) if self.kind == "bidirectional" else _permuted(order, self.count)
        return tuple(Way(name=name, order=drawn, sample=i) for i, (drawn, name) in enumerate(orders.items()))

    def number(self, chunks: int) -> int:
        """How many readings of so many chunks there are."""
        return len(self.ways(tuple(range(chunks))))


def parse_paths(text: str) -> Paths | None:
    """What ``--paths`` says; None where the document is read once.

    Raises:
        UsageError: it says something else.
    """
    kind, _, count = text.partition(":")
    if text == ONE:
        return None
    if kind == "bidirectional" and not count:
        return Paths(kind=kind, count=2)
    if kind not in KINDS or kind == "bidirectional" or (count and not count.isdecimal()):
        raise UsageError(f"unknown paths {text!r}", hint=_HINT)
    number = int(count or _DEFAULT_COUNT)
    if not 2 <= number <= _MOST:
        raise UsageError(f"{number} paths cannot be taken", hint=f"Take 2 to {_MOST} of them, such as {kind}:5.")
    return Paths(kind=kind, count=number)


def _both(order: tuple[int, ...]) -> dict[tuple[int, ...], str]:
    ways = {order: "forward"}
    ways.setdefault(order[::-1], "backward")
    return ways


def _permuted(order: tuple[int, ...], count: int) -> dict[tuple[int, ...], str]:
    """Different orders only; of few chunks there are fewer than were asked for."""
    wanted = min(count, math.factorial(min(len(order), _MOST)))
    drawn: dict[tuple[int, ...], str] = {}
    seed = 0
    while len(drawn) < wanted:
        places = list(order)
        random.Random(seed).shuffle(places)
        drawn.setdefault(tuple(places), f"permutation {seed}")
        seed += 1
    return drawn
