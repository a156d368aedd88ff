"""What the graphs keep while they read, the last node that answers from it, and the outcome that it becomes.

Graphs are LangGraph's, and their states have to survive its checkpoints: notes and spans stand in them as plain
dictionaries, which are made values again here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypedDict, cast

from coa.agents.citing import Cited, cite, listed
from coa.errors import InvalidReply
from coa.events import StepDone
from coa.pipelines.answering import Answered, answers
from coa.pipelines.base import Job, Outcome
from coa.pipelines.graph import tell
from coa.pipelines.window import Window, divide
from coa.types import Coverage, Evidence, Fact, Notes, Span, Unread


class GraphState(TypedDict, total=False):
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


async def manager(state: GraphState, runtime: Any) -> GraphState:
    """The last node of every graph that keeps notes: the manager answers from them."""
    job: Job = runtime.context
    check_read([_unread(item) for item in state.get("unread", [])], job)
    done = await answers(notes_of(state), window_of(state, job), job)
    steps = len(job.chunks) + 1
    tell(runtime, StepDone(done=steps, steps=steps, usage=job.usage(), outcome="answered"))
    return _answered(state, done)


def _answered(state: GraphState, done: Sequence[Answered]) -> GraphState:
    """What the manager's answers change in the state: the first stands in it, the others behind it."""
    first, *others = [
        {"text": each.text, "notes": asdict(each.notes), "dropped": state.get("dropped", 0) + each.dropped}
        for each in done
    ]
    return cast("GraphState", {**first, "more": others})


def outcome(state: GraphState, job: Job) -> Outcome:
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
        more=tuple(outcome(cast("GraphState", {**state, **each, "more": []}), job) for each in state.get("more", [])),
    )


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


def _warnings(state: GraphState, cited: Cited) -> tuple[str, ...]:
    warnings: list[str] = []
    if dropped := state.get("dropped", 0):
        warnings.append(f"{dropped} quotes or references of the workers were not in the text and were dropped")
    if forgotten := state.get("forgotten", 0):
        warnings.append(f"{forgotten} facts with the least support did not fit the notes; a larger --window keeps more")
    if cited.dropped:
        warnings.append(f"{cited.dropped} references of the final text pointed nowhere and were dropped")
    return tuple(warnings)


def window_of(state: GraphState, job: Job) -> Window:
    """The window as the run has learned it."""
    size = state.get("size", job.window.size)
    return job.window if size == job.window.size else divide(size, job.ctx)


def notes_of(state: GraphState) -> Notes:
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
    return Unread(span=Span(**raw["span"]), reason=raw["reason"])
