"""Multi-path Chain-of-Agents: the document is read several times side by side, and one of the answers is selected.

Each reading is a whole run of another pipeline with an order or a sample of its own (arXiv 2406.02818, section 5.5).
They share the run's one door to the model: its limiter, its budget, its journal. A reading that fails costs the others
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypedDict

from coa.agents.judge import REPLY_TOKENS
from coa.errors import ModelError
from coa.events import Event, StepDone
from coa.pipelines.base import Calls, Job, Outcome, Pipeline
from coa.pipelines.graph import in_a_row, tell
from coa.pipelines.paths import Paths, Way
from coa.pipelines.selecting import Selected, judge_calls, select
from coa.pipelines.window import Window
from coa.runtime.together import together
from coa.types import Chunk, Reading


class MultiState(TypedDict, total=False):
    """The state of the graph.

    ``outcomes`` are those of the readings that could be finished, each with its ``sample``; ``failed`` says why the
    others could not be, by their ``sample``; ``outcome`` is the selected one.
    """

    outcomes: list[Outcome]
    failed: dict[int, str]
    outcome: Outcome


class MultiPath:
    """Several readings, one answer.

    Args:
        inner: How each reading goes.
        paths: Which readings there are.
        selection: ``auto``, ``vote`` or ``judge``; see `coa.pipelines.selecting`.
    """

    def __init__(self, inner: Pipeline, paths: Paths, selection: str) -> None:
        self._inner, self._paths, self._selection = inner, paths, selection

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        return in_a_row(MultiState, read=self._read, select=self._select)

    def steps(self, chunks: int) -> int:
        """The steps of all readings, and one for the selection."""
        return self._paths.number(chunks) * self._inner.steps(chunks) + 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """As many times what one reading asks, and the judge where there may be one."""
        one = self._inner.estimate(chunks, window)
        number = self._paths.number(len(chunks))
        rounds = (0, 0) if self._selection == "vote" else judge_calls(number, window.answer, window.size)
        judged = rounds[0] * (window.manager + REPLY_TOKENS) + 2 * number * window.answer * rounds[1]
        return Calls(
            calls=number * one.calls + rounds[0],
            serial=one.serial + rounds[1],
            prompt_tokens=number * one.prompt_tokens + (judged if rounds[0] else 0),
            completion_tokens=number * one.completion_tokens + rounds[0] * REPLY_TOKENS,
        )

    def ways(self, order: tuple[int, ...]) -> tuple[Way, ...]:
        """The readings, given the order of a single one."""
        return self._paths.ways(order)

    async def run(self, job: Job) -> Outcome:
        """Read in all ways at once, then select.

        Raises:
            ModelError: no reading could be finished; the first one's error.
            LimitReached: a budget or the deadline stopped the run.
        """
        state = await self.graph.ainvoke({}, {"recursion_limit": 10}, context=job)
        return state["outcome"]

    async def _read(self, _: MultiState, runtime: Any) -> MultiState:
        job: Job = runtime.context
        progress = _Progress(job, self.steps(len(job.chunks)))
        ways = self._paths.ways(job.order)
        results = await together([self._one(way, job, progress) for way in ways])
        errors = {i: result for i, result in enumerate(results) if isinstance(result, ModelError)}
        if len(errors) == len(results):
            raise errors[0]
        return {
            "outcomes": [result for result in results if isinstance(result, Outcome)],
            "failed": {ways[i].sample: error.message for i, error in errors.items()},
        }

    async def _one(self, way: Way, job: Job, progress: _Progress) -> Outcome | ModelError:
        """One reading, or what ended it: the others go on. Limits stop them all."""
        track = progress.track(self._inner.steps(len(job.chunks)))
        try:
            outcome = await self._inner.run(replace(way.job(job), emit=track))
        except ModelError as error:
            return error
        finally:
            track.finish()
        return replace(outcome, sample=way.sample)

    async def _select(self, state: MultiState, runtime: Any) -> MultiState:
        job: Job = runtime.context
        outcomes = state.get("outcomes", [])
        selected = await select(outcomes, self._selection, job)
        steps = self.steps(len(job.chunks))
        tell(runtime, StepDone(done=steps, steps=steps, usage=job.usage(), outcome="selected"))
        ways = self._paths.ways(job.order)
        return {"outcome": _chosen(selected, outcomes, state.get("failed", {}), ways)}


def _chosen(selected: Selected, outcomes: Sequence[Outcome], failed: dict[int, str], ways: Sequence[Way]) -> Outcome:
    """The selected outcome, with all readings beside it."""
    chosen = outcomes[selected.index]
    texts = {outcome.sample: outcome.text for outcome in outcomes}

    def reading(way: Way) -> Reading:
        if way.sample in failed:
            return Reading(name=way.name, text="", fate="failed", reason=failed[way.sample])
        if way.sample == chosen.sample:
            return Reading(name=way.name, text=chosen.text, fate="selected", reason=selected.reason)
        return Reading(name=way.name, text=texts[way.sample], fate="not selected")

    readings = tuple(map(reading, ways))
    lost = [f"{each.name} could not be finished: {each.reason}" for each in readings if each.fate == "failed"]
    return replace(chosen, readings=readings, warnings=(*chosen.warnings, *lost))


class _Progress:
    """The steps of all readings as one count that never goes back."""

    def __init__(self, job: Job, steps: int) -> None:
        self._job, self._steps, self._done = job, steps, 0

    def track(self, steps: int) -> _Track:
        """The listener of one reading of so many steps."""
        return _Track(self, steps)

    def step(self, event: Event) -> None:
        """Pass an event on, counted anew."""
        if isinstance(event, StepDone):
            self._done += 1
            event = replace(event, done=self._done, steps=self._steps)
        self._job.emit(event)

    def skip(self, steps: int) -> None:
        """Count steps that a failed reading never took."""
        if steps > 0:
            self._done += steps - 1
            self.step(StepDone(done=0, steps=0, usage=self._job.usage(), outcome="failed"))


class _Track:
    """Listens to one reading."""

    def __init__(self, progress: _Progress, steps: int) -> None:
        self._progress, self._left = progress, steps

    def __call__(self, event: Event) -> None:
        self._left -= isinstance(event, StepDone)
        self._progress.step(event)

    def finish(self) -> None:
        """The reading is over."""
        self._progress.skip(self._left)
