"""Read all chunks side by side, merge the notes until the manager can take them, answer.

The workers do not see what the others found; how their notes come together is the difference between two topologies:

- ``tree``: neighbours are merged level by level. Its critical path grows with the logarithm of the document's length.
- ``map-then-chain``: one set of notes is carried along the others, so that what a late part says meets all that came
  before it. Its critical path is shorter than the chain's by the fan-in of a merge.
- ``hierarchical``: nothing is merged, the manager sees the notes of all parts that have something to say. The baseline
  of the Chain-of-Agents paper (arXiv 2406.02818, section 5.1): there is a document that is too long for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.graph import in_a_row, read_together
from coa.pipelines.merging import (
    Lost,
    all_at_once,
    even_share,
    fan_in,
    levels,
    merge_by_levels,
    merge_in_a_row,
    no_merges,
    room_for_notes,
    row,
)
from coa.pipelines.reading import State, read_chunk
from coa.pipelines.state import GraphState, check_read, manager, outcome
from coa.pipelines.window import Window
from coa.types import Chunk, Notes

_MARKERS_A_PART = 10_000
"""Workers that do not know of each other give out markers from ranges of their own."""


Merge = Callable[[list[Notes], Window, Job], Awaitable[tuple[Notes, Lost]]]
Bound = Callable[[int, Window], tuple[int, int]]
Share = Callable[[int, Window], int]


class SideBySide:
    """Chunks read at once, notes merged, one answer.

    Args:
        merge: How the notes come together.
        bound: Its calls and serial calls for so many parts, at most.
        share: Tokens that each of so many parts may write notes in.
    """

    def __init__(self, merge: Merge, bound: Bound, share: Share | None = None) -> None:
        self._merge, self._bound = merge, bound
        self._share: Share = share or (lambda parts, window: window.notes)

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        return in_a_row(GraphState, read=self._read, manager=manager)

    def steps(self, chunks: int) -> int:
        """One step a chunk and one for merging and answering."""
        return chunks + 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """At most: notes at their bound, merged down to what the manager takes."""
        n = len(chunks)
        text = sum(chunk.tokens for chunk in chunks)
        merges, serial = self._bound(n, window)
        share = self._share(n, window)
        read = text + n * window.worker
        merging = merges * (fan_in(window) * window.notes + window.manager)
        return Calls(
            calls=n + merges + 1,
            serial=serial + 2,
            prompt_tokens=read + merging + window.manager + room_for_notes(window),
            completion_tokens=n * share + merges * window.notes + window.answer,
        )

    async def run(self, job: Job) -> Outcome:
        """Read everything, then answer.

        Raises:
            ModelError: the provider failed for good, or no chunk at all could be read.
            LimitReached: a budget or the deadline stopped the run.
            WindowTooSmall: there are too many parts for notes that are not merged.
        """
        state = await self.graph.ainvoke({"i": 0}, {"recursion_limit": 10}, context=job)
        return outcome(state, job)

    async def _read(self, _: GraphState, runtime: Any) -> GraphState:
        job: Job = runtime.context
        window = replace(job.window, notes=self._share(len(job.chunks), job.window))

        async def one(place: int, chunk: Chunk) -> State:
            began = State(notes=Notes(issued=place * _MARKERS_A_PART), window=window)
            return await read_chunk(chunk, place + 1, began, job)

        states = await read_together(runtime, one)
        unread = [each for state in states for each in state.unread]
        check_read(unread, job)
        smallest = min((state.window for state in states), key=lambda each: each.size)
        window = job.window if smallest == window else smallest
        notes, lost = await self._merge([state.notes for state in states if state.notes.text], window, job)
        return {
            "i": len(states),
            "notes": asdict(notes),
            "size": window.size,
            "dropped": lost.dropped + sum(state.dropped for state in states),
            "forgotten": lost.forgotten + sum(state.forgotten for state in states),
            "unread": [asdict(item) for item in unread],
        }


def tree() -> SideBySide:
    """Neighbours merged level by level."""
    return SideBySide(merge_by_levels, levels)


def map_then_chain() -> SideBySide:
    """One set of notes carried along the others."""
    return SideBySide(merge_in_a_row, row)


def hierarchical() -> SideBySide:
    """Nothing merged: the manager sees the notes of every part that bears on the query."""
    return SideBySide(all_at_once, no_merges, even_share)
