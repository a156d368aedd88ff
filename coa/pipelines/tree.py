"""Read all chunks side by side, merge the notes by a tree of bounded fan-in, answer.

The hierarchical baseline of the Chain-of-Agents paper (arXiv 2406.02818, section 5.1), with notes that carry verified
evidence. Its critical path is one reading, the levels of merging and the answer, however long the document is; its
workers do not see what the others found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from coa.agents.base import REPAIR_RESERVE, prompt_tokens
from coa.agents.merger import Merger, joined
from coa.errors import InvalidReply
from coa.events import StepDone
from coa.pipelines.answering import answer
from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.chain import ChainState, notes_of, nothing_read, outcome, window_of_state
from coa.pipelines.reading import State, read_chunk
from coa.pipelines.window import Window
from coa.runtime.together import together
from coa.types import Chunk, Notes

_MARKERS_A_PART = 10_000
"""Workers that do not know of each other give out markers from ranges of their own."""


class Tree:
    """Chunks read at once, notes merged pairwise or wider, one answer."""

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

        graph: Any = StateGraph(ChainState, context_schema=Job)
        graph.add_node("read", _read)
        graph.add_node("manager", _manager)
        graph.add_edge(START, "read")
        graph.add_edge("read", "manager")
        graph.add_edge("manager", END)
        return graph.compile()

    def steps(self, chunks: int) -> int:
        """One step a chunk and one for merging and answering."""
        return chunks + 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """At most: notes at their bound, merged down to what the manager takes."""
        n = len(chunks)
        text = sum(chunk.tokens for chunk in chunks)
        merges, levels = _merges(n, window)
        read = text + n * window.worker
        merging = merges * (_fan_in(window) * window.notes + window.manager)
        return Calls(
            calls=n + merges + 1,
            serial=levels + 2,
            prompt_tokens=read + merging + window.manager + _room(window),
            completion_tokens=(n + merges) * window.notes + window.answer,
        )

    async def run(self, job: Job) -> Outcome:
        """Read everything, then answer.

        Raises:
            ModelError: the provider failed for good, or no chunk at all could be read.
            LimitReached: a budget or the deadline stopped the run.
        """
        state = await self.graph.ainvoke({"i": 0}, {"recursion_limit": 10}, context=job)
        return outcome(state, job)


async def _read(_: ChainState, runtime: Any) -> ChainState:
    job: Job = runtime.context
    finished = 0

    async def one(part: int, chunk: Chunk) -> State:
        nonlocal finished
        began = State(notes=Notes(issued=(part - 1) * _MARKERS_A_PART), window=job.window)
        state = await read_chunk(chunk, part, began, job)
        finished += 1
        steps, result = len(job.chunks) + 1, "failed" if state.unread else "read"
        event = StepDone(done=finished, steps=steps, usage=job.usage(), span=chunk.span, outcome=result)
        job.emit(event)
        runtime.stream_writer(event)
        return state

    states = await together([one(part, job.chunks[index]) for part, index in enumerate(job.order, 1)])
    unread = [state.unread for state in states if state.unread is not None]
    if len(unread) == len(states):
        raise nothing_read(len(unread), unread[-1].reason)
    window = min((state.window for state in states), key=lambda each: each.size)
    notes, dropped = await _merged([state.notes for state in states if state.notes.text], window, job)
    return {
        "i": len(states),
        "notes": asdict(notes),
        "size": window.size,
        "dropped": dropped + sum(state.dropped for state in states),
        "unread": [asdict(item) for item in unread],
    }


async def _manager(state: ChainState, runtime: Any) -> ChainState:
    job: Job = runtime.context
    text = await answer(notes_of(state), window_of_state(state, job), job)
    steps = len(job.chunks) + 1
    event = StepDone(done=steps, steps=steps, usage=job.usage(), outcome="answered")
    job.emit(event)
    runtime.stream_writer(event)
    return {"text": text}


async def _merged(notes: list[Notes], window: Window, job: Job) -> tuple[Notes, int]:
    """Merge neighbours, level by level, until the manager can take what is left."""
    dropped = 0
    while len(notes) > 1 and sum(item.tokens for item in notes) > _room(window):
        results = await together([_merge(group, window, job) for group in _groups(notes, window, job)])
        notes = [result[0] for result in results]
        dropped += sum(result[1] for result in results)
    return joined(notes), dropped


async def _merge(group: Sequence[Notes], window: Window, job: Job) -> tuple[Notes, int]:
    """One set of notes of a group."""
    whole = joined(group)
    if len(group) == 1:
        return whole, 0
    try:
        merged = await Merger().run(Merger().request(whole, job.ctx, max_tokens=window.notes), job.ctx)
    except InvalidReply as error:
        raise InvalidReply(f"the notes of {len(group)} parts could not be merged: {error.message}") from None
    return merged.notes, merged.dropped


def _groups(notes: Sequence[Notes], window: Window, job: Job) -> list[list[Notes]]:
    """Neighbours that fit one prompt together; two at least, so that every level has fewer."""
    empty = Merger().request(Notes(), job.ctx, max_tokens=window.notes)
    room = window.size - window.notes - prompt_tokens(empty.messages, job.ctx.counter) - REPAIR_RESERVE
    groups: list[list[Notes]] = [[]]
    size = 0
    for item in notes:
        if len(groups[-1]) >= 2 and size + item.tokens > room:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += item.tokens
    return groups


def _fan_in(window: Window) -> int:
    """How many notes at their bound fit one prompt, about."""
    return max(2, (window.size - window.notes - window.worker) // max(1, window.notes))


def _room(window: Window) -> int:
    """Most tokens of notes for the manager: half of what is left, the rest is for quotes."""
    return max(window.notes, window.room_for_quotes(0) // 2)


def _merges(parts: int, window: Window) -> tuple[int, int]:
    """Merging calls and their levels, at most."""
    merges = levels = 0
    while parts > 1 and parts * window.notes > _room(window):
        parts = -(-parts // _fan_in(window))
        merges, levels = merges + parts, levels + 1
    return merges, levels
