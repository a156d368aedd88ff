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
from coa.types import Chunk

_BY_WORTH = ("chain", "map-then-chain", "tree")


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
    concurrency: int = 1,
) -> Choice:
    """One call when everything fits; else a chain; side by side when a deadline leaves no time for it.

    A chain keeps what parts have to do with each other (arXiv 2406.02818, section 5.3), for the price of serial calls;
    map-then-chain keeps the last of it, a tree nothing. The first of them that a deadline allows is taken.
    """
    if fits(chunks, window):
        return Choice(topology="single", reason="the document fits into one prompt")
    if deadline is None:
        return Choice(topology="chain", reason=f"{len(chunks)} parts that may have to do with each other")
    asked = {name: pipelines[name].estimate(chunks, window) for name in _BY_WORTH}
    needed = {name: seconds_of(calls, concurrency) for name, calls in asked.items()}
    if needed["chain"] <= deadline:
        about = f"about {needed['chain']:.0f} s of {deadline:g} s"
        return Choice(topology="chain", reason=f"{len(chunks)} parts that may have to do with each other, {about}")
    fitting = next((name for name in _BY_WORTH if needed[name] <= deadline), None)
    chosen = fitting or min(_BY_WORTH, key=lambda name: needed[name])
    chain = f"{asked['chain'].serial} calls one after the other would take about {needed['chain']:.0f} s"
    rest = f"this takes about {needed[chosen]:.0f} s" + ("" if fitting else ", which may be too long all the same")
    return Choice(topology=chosen, reason=f"{chain} of {deadline:g} s; {rest}")


def side_by_side(pipelines: Mapping[str, Pipeline], asked: Callable[[Pipeline], Calls]) -> list[tuple[str, Calls]]:
    """What each way of reading would ask of the model; those that the window does not allow are left out."""
    found: list[tuple[str, Calls]] = []
    for name, pipeline in pipelines.items():
        with suppress(WindowTooSmall):
            found.append((name, asked(pipeline)))
    return found
