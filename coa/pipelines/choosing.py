"""``--topology auto``: which way of reading suits a document, a task and a deadline, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from coa.errors import WindowTooSmall
from coa.forecast import seconds_of
from coa.pipelines.base import Calls, Pipeline
from coa.pipelines.single import fits
from coa.pipelines.window import Window
from coa.types import Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A topology and the reason for it, in words."""

    topology: str
    reason: str


def choose(
    chunks: Sequence[Chunk], window: Window, deadline: float | None, pipelines: Mapping[str, Pipeline]
) -> Choice:
    """One call when everything fits; side by side when a deadline leaves no time for a chain; else the chain.

    A chain keeps what parts have to do with each other (arXiv 2406.02818, section 5.3), for the price of serial calls.
    """
    if fits(chunks, window):
        return Choice(topology="single", reason="the document fits into one prompt")
    chain = pipelines["chain"].estimate(chunks, window)
    needed = seconds_of(chain)
    if deadline is not None and needed > deadline:
        return Choice(
            topology="tree",
            reason=f"{chain.serial} calls one after the other would take about {needed:.0f} s of {deadline:g} s",
        )
    return Choice(topology="chain", reason=f"{len(chunks)} parts that may have to do with each other")


def side_by_side(chunks: Sequence[Chunk], window: Window, pipelines: Mapping[str, Pipeline]) -> list[tuple[str, Calls]]:
    """What each topology would ask of the model; those that this window does not allow are left out."""
    found: list[tuple[str, Calls]] = []
    for name, pipeline in pipelines.items():
        with suppress(WindowTooSmall):
            found.append((name, pipeline.estimate(chunks, window)))
    return found
