"""``--topology auto``: which way of reading suits a document, a task and a deadline, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from coa.config import Settings
from coa.errors import UsageError, WindowTooSmall
from coa.forecast import seconds_of
from coa.pipelines.base import Calls, Pipeline
from coa.pipelines.multipath import MultiPath
from coa.pipelines.paths import Paths, parse_paths
from coa.pipelines.registry import AUTO, every_pipeline, resolve_pipeline
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The pipeline that reads, the topology that it follows, and what there is to say about the choice."""

    topology: str
    pipeline: Pipeline
    said: tuple[str, ...] = ()


def choose_pipeline(task: Task, chunks: Sequence[Chunk], window: Window, settings: Settings) -> Chosen:
    """The pipeline that the settings ask for, once it is known how many parts there are.

    Raises:
        UsageError: the topology is unknown, or does not go with what else was asked for.
    """
    topology, said = settings.topology, ()
    if topology == AUTO:
        choice = choose(chunks, window, settings.deadline, every_pipeline(), settings.concurrency, task)
        topology, said = choice.topology, (f"topology {choice.topology}: {choice.reason}",)
    if task.batch and topology == "single":
        topology = "chain"
    pipeline = resolve_pipeline(topology)
    several = parse_paths(settings.paths)
    _check_together(task, topology, several)
    if several is None:
        return Chosen(topology=topology, pipeline=pipeline, said=said)
    if several.number(len(chunks)) > 1:
        return Chosen(topology=topology, pipeline=MultiPath(pipeline, several, settings.select), said=said)
    only = f"there is one way only to take {settings.paths} over {len(chunks)} part"
    return Chosen(topology=topology, pipeline=pipeline, said=(*said, only))


def _check_together(task: Task, topology: str, several: Paths | None) -> None:
    if task.batch and (several is not None or topology == "merge"):
        raise UsageError(
            "questions that share a reading have no --paths and no topology merge", hint="Leave --batch out."
        )
    if several is not None and topology == "merge":
        raise UsageError("merge is a vote already and has no --paths", hint="Use --topology chain with --paths.")


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
