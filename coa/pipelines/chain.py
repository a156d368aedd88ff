"""Chain-of-Agents (Zhang et al., NeurIPS 2024, arXiv 2406.02818, Algorithm 1) as a LangGraph loop.

One edge per chunk: worker -> worker -> ... -> manager. The graph's state holds an index, the notes and a few counters;
the text travels in ``context``, so that a checkpoint of a step stays a few kilobytes however long the document is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, TypedDict, cast

from coa.agents.citing import Cited, cite, listed
from coa.errors import InvalidReply
from coa.events import StepDone
from coa.pipelines.answering import Answered, answers
from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.graph import tell, tell_read
from coa.pipelines.reading import State, read_chunk
from coa.pipelines.window import Window, divide
from coa.types import Chunk, Coverage, Evidence, Fact, Notes, Span, Unread


class ChainState(TypedDict, total=False):
    """What a checkpoint holds: indices and notes, never text of the document beyond the quotes kept.

    ``i`` chunks are done; ``size`` is the window as learned so far; ``unread`` holds the stretches that failed.
    """

    i: int
    notes: dict[str, Any]
    size: int
    dropped: int
    forgotten: int
    unread: list[dict[str, Any]]
    text: str
    more: list[dict[str, Any]]


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

        graph: Any = StateGraph(ChainState, context_schema=Job)
        graph.add_node("worker", _worker, destinations=("worker", "manager"))
        graph.add_node("manager", _manager)
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


def outcome(state: ChainState, job: Job) -> Outcome:
    """The final state of the graph as a cited text with its coverage."""
    documents = {document.id: document for document in job.documents}
    finish = listed if job.ctx.task.kind == "complete" else cite
    cited = finish(state.get("text", ""), notes_of(state), documents, job.ctx.fence.tag)
    failed = tuple(_unread(item) for item in state.get("unread", []))
    return Outcome(
        text=cited.text,
        citations=cited.citations,
        coverage=Coverage(chunks=len(job.chunks), read=read_whole(failed, job), failed=failed),
        warnings=_warnings(state, cited),
        more=tuple(outcome(cast("ChainState", {**state, **each, "more": []}), job) for each in state.get("more", [])),
    )


async def _worker(state: ChainState, runtime: Any) -> Any:
    """Read one chunk; the Command that names the next node costs half the CPU of a conditional edge."""
    from langgraph.types import Command  # pyright: ignore[reportMissingTypeStubs]

    job: Job = runtime.context
    i = state.get("i", 0)
    chunk = job.chunks[job.order[i]]
    done = await read_chunk(chunk, i + 1, State(notes=notes_of(state), window=window_of_state(state, job)), job)
    unread = [*state.get("unread", []), *map(asdict, done.unread)]
    tell_read(runtime, i + 1, chunk, done)
    update: ChainState = {
        "i": i + 1,
        "notes": asdict(done.notes),
        "size": done.window.size,
        "dropped": state.get("dropped", 0) + done.dropped,
        "forgotten": state.get("forgotten", 0) + done.forgotten,
        "unread": unread,
    }
    return Command(update=update, goto="worker" if i + 1 < len(job.order) else "manager")


async def _manager(state: ChainState, runtime: Any) -> ChainState:
    job: Job = runtime.context
    check_read([_unread(item) for item in state.get("unread", [])], job)
    done = await answers(notes_of(state), window_of_state(state, job), job)
    steps = len(job.chunks) + 1
    tell(runtime, StepDone(done=steps, steps=steps, usage=job.usage(), outcome="answered"))
    return answered(state, done)


def answered(state: ChainState, done: Sequence[Answered]) -> ChainState:
    """What the manager's answers change in the state: the first stands in it, the others behind it."""
    first, *others = [
        {"text": each.text, "notes": asdict(each.notes), "dropped": state.get("dropped", 0) + each.dropped}
        for each in done
    ]
    return cast("ChainState", {**first, "more": others})


def check_read(unread: Sequence[Unread], job: Job) -> None:
    """Check that there is something to answer from.

    Raises:
        InvalidReply: no chunk, and no piece of one, could be read.
    """
    if unread and sum(len(each.span) for each in unread) == sum(len(chunk.span) for chunk in job.chunks):
        raise InvalidReply(
            f"none of the {len(job.chunks)} parts could be read; the last one failed with {unread[-1].reason}"
        )


def read_whole(unread: Sequence[Unread], job: Job) -> int:
    """How many chunks have no stretch that was not read."""
    spans = [each.span for each in unread]
    return sum(not any(_inside(span, chunk.span) for span in spans) for chunk in job.chunks)


def _inside(inner: Span, outer: Span) -> bool:
    return inner.doc == outer.doc and outer.start <= inner.start < outer.end


def _warnings(state: ChainState, cited: Cited) -> tuple[str, ...]:
    warnings: list[str] = []
    if dropped := state.get("dropped", 0):
        warnings.append(f"{dropped} quotes or references of the workers were not in the text and were dropped")
    if forgotten := state.get("forgotten", 0):
        warnings.append(f"{forgotten} facts with the least support did not fit the notes; a larger --window keeps more")
    if cited.dropped:
        warnings.append(f"{cited.dropped} references of the final text pointed nowhere and were dropped")
    return tuple(warnings)


def window_of_state(state: ChainState, job: Job) -> Window:
    """The window as the run has learned it."""
    size = state.get("size", job.window.size)
    return job.window if size == job.window.size else divide(size, job.ctx)


def notes_of(state: ChainState) -> Notes:
    """The notes of a state."""
    if not (raw := state.get("notes")):
        return Notes()
    evidence = tuple(
        Evidence(marker=item["marker"], span=Span(**item["span"]), quote=item["quote"]) for item in raw["evidence"]
    )
    return Notes(
        text=raw["text"],
        evidence=evidence,
        issued=raw["issued"],
        tokens=raw["tokens"],
        facts=tuple(map(_fact, raw["facts"])),
        questions=tuple(raw["questions"]),
        entities=tuple((name, what) for name, what in raw["entities"]),
    )


def _fact(raw: dict[str, Any]) -> Fact:
    return Fact(text=raw["text"], markers=tuple(raw["markers"]), confidence=raw["confidence"], part=raw["part"])


def _unread(raw: dict[str, Any]) -> Unread:
    return replace(Unread(span=Span(**raw["span"]), reason=raw["reason"]))
