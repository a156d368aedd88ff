"""``--topology auto``: which way of reading suits a document, a task and a deadline, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from coa.errors import WindowTooSmall
from coa.forecast import seconds_of
from coa.pipelines.base import Calls, Pipeline
from coa.pipelines.single import fits
from coa.pipelines.window import Window
from coa.types import Chunk, Task

_BY_WORTH = ("chain", "map-then-chain", "tree")
_FOR_A_CLAIM = ("map-then-chain", "tree")
_RELATED = "parts that may have to do with each other"
_APART = "parts that each can be held against the claim, what they find is then carried together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A topology and the reason for it, in words."""

    topology: str
    reason: str


def choose(
    chunks: Sequence[Chunk],
    window: Window,
    deadline: float | None,
    pipelines: Mapping[str, Pipeline],
    concurrency: int,
    task: Task,
) -> Choice:
    """One call when everything fits; else what suits the task best; more side by side when a deadline leaves no time.

    A chain keeps what parts have to do with each other (arXiv 2406.02818, section 5.3), for the price of serial calls;
    map-then-chain keeps the last of it, a tree nothing. The first of them that a deadline allows is taken. A claim is
    known from the start and each part is held against it on its own, so that it needs no chain.
    """
    if fits(chunks, window):
        return Choice(topology="single", reason="the document fits into one prompt")
    ways, why = (_FOR_A_CLAIM, _APART) if task.kind == "verify" else (_BY_WORTH, _RELATED)
    best = ways[0]
    if deadline is None:
        return Choice(topology=best, reason=f"{len(chunks)} {why}")
    asked = {name: pipelines[name].estimate(chunks, window) for name in ways}
    needed = {name: seconds_of(calls, concurrency) for name, calls in asked.items()}
    if needed[best] <= deadline:
        about = f"about {needed[best]:.0f} s of {deadline:g} s"
        return Choice(topology=best, reason=f"{len(chunks)} {why}, {about}")
    fitting = next((name for name in ways if needed[name] <= deadline), None)
    chosen = fitting or min(ways, key=lambda name: needed[name])
    chain = f"{best}: {asked[best].serial} calls one after the other would take about {needed[best]:.0f} s"
    rest = f"this takes about {needed[chosen]:.0f} s" + ("" if fitting else ", which may be too long all the same")
    return Choice(topology=chosen, reason=f"{chain} of {deadline:g} s; {rest}")


def side_by_side(pipelines: Mapping[str, Pipeline], asked: Callable[[Pipeline], Calls]) -> list[tuple[str, Calls]]:
    """What each way of reading would ask of the model; those that the window does not allow are left out."""
    found: list[tuple[str, Calls]] = []
    for name, pipeline in pipelines.items():
        with suppress(WindowTooSmall):
            found.append((name, asked(pipeline)))
    return found
