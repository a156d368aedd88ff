"""Chain-of-Agents (Zhang et al., NeurIPS 2024, arXiv 2406.02818, Algorithm 1) as a LangGraph loop.

One edge per chunk: worker -> worker -> ... -> manager. The state (`coa.pipelines.state`) holds an index, notes and a
few counters; the text travels in ``context``, so that a checkpoint stays small however long the document is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.graph import tell_read
from coa.pipelines.reading import State, read_chunk
from coa.pipelines.state import GraphState, manager, notes_of, outcome, window_of
from coa.pipelines.window import Window
from coa.types import Chunk


class ChainOfAgents:
    """Workers read the chunks one after the other; the manager answers from the last notes."""

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        return self.compile()

    def compile(self, checkpointer: Any = None) -> Any:
        """Compile the graph, with a LangGraph checkpointer if the embedding application wants one.

        The library itself does not need it: the journal answers every finished call when a run is resumed.
        """
        from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

        graph: Any = StateGraph(GraphState, context_schema=Job)
        graph.add_node("worker", _worker, destinations=("worker", "manager"))
        graph.add_node("manager", manager)
        graph.add_edge(START, "worker")
        graph.add_edge("manager", END)
        return graph.compile(checkpointer=checkpointer)

    def steps(self, chunks: int) -> int:
        """One step a chunk and one for the manager."""
        return chunks + 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """Section 1.3 of the method: input ~ text + workers x (notes + prompt) + manager; replies at their bound."""
        n = len(chunks)
        text = sum(chunk.tokens for chunk in chunks)
        reading = text + n * window.worker + max(0, n - 1) * window.notes
        return Calls(
            calls=n + 1,
            serial=n + 1,
            prompt_tokens=reading + window.manager + window.notes,
            completion_tokens=n * window.notes + window.answer,
        )

    async def run(self, job: Job) -> Outcome:
        """Read everything, then answer.

        Raises:
            ModelError: the provider failed for good, or no chunk at all could be read.
            LimitReached: a budget or the deadline stopped the run.
        """
        state = await self.graph.ainvoke({"i": 0}, {"recursion_limit": len(job.chunks) + 10}, context=job)
        return outcome(state, job)


async def _worker(state: GraphState, runtime: Any) -> Any:
    """Read one chunk; the Command that names the next node costs half the CPU of a conditional edge."""
    from langgraph.types import Command  # pyright: ignore[reportMissingTypeStubs]

    job: Job = runtime.context
    i = state.get("i", 0)
    chunk = job.chunks[job.order[i]]
    done = await read_chunk(chunk, i + 1, State(notes=notes_of(state), window=window_of(state, job)), job)
    unread = [*state.get("unread", []), *map(asdict, done.unread)]
    tell_read(runtime, i + 1, chunk, done)
    update: GraphState = {
        "i": i + 1,
        "notes": asdict(done.notes),
        "size": done.window.size,
        "dropped": state.get("dropped", 0) + done.dropped,
        "forgotten": state.get("forgotten", 0) + done.forgotten,
        "unread": unread,
    }
    return Command(update=update, goto="worker" if i + 1 < len(job.order) else "manager")
