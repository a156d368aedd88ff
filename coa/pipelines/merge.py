"""The paper's Merge baseline (arXiv 2406.02818, section 5.1): each worker answers from its chunk alone, then they vote.

Here to be compared with, not to be recommended: no worker sees what another one read, so that what has to be put
together from two places is found by none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypedDict

from coa.agents.citing import cite
from coa.agents.closed import says_not_stated
from coa.agents.team import team_of
from coa.errors import ContextOverflow, InvalidReply
from coa.events import StepDone
from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.graph import in_a_row, read_together, tell
from coa.pipelines.paths import Way
from coa.pipelines.selecting import Selected, select
from coa.pipelines.state import check_read, read_whole
from coa.pipelines.window import MIN_ROOM, Window
from coa.split import split_text
from coa.types import Chunk, Coverage, Passage, Reading, Span, Unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one chunk gave: an answer, or several where the server did not take it whole; and what was not read."""

    outcomes: tuple[Outcome, ...] = ()
    unread: tuple[Unread, ...] = ()
    notes: None = None


class MergeState(TypedDict, total=False):
    """The state of the graph: what the parts gave, then the outcome."""

    parts: list[Part]
    outcome: Outcome


class Merge:
    """Workers that answer on their own, and a majority vote."""

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        return in_a_row(MergeState, read=_read, vote=_vote)

    def steps(self, chunks: int) -> int:
        """One step a chunk and one for the vote."""
        return chunks + 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """One call a chunk, none of which waits for another."""
        n = len(chunks)
        text = sum(chunk.tokens for chunk in chunks)
        return Calls(calls=n, serial=1, prompt_tokens=text + n * window.worker, completion_tokens=n * window.answer)

    async def run(self, job: Job) -> Outcome:
        """Answer from each part, then vote.

        Raises:
            ModelError: the provider failed for good, or no part could be read.
            LimitReached: a budget or the deadline stopped the run.
        """
        state = await self.graph.ainvoke({}, {"recursion_limit": 10}, context=job)
        return state["outcome"]


async def _read(_: MergeState, runtime: Any) -> MergeState:
    job: Job = runtime.context

    async def one(place: int, chunk: Chunk) -> Part:
        # The sample's index tells the calls of one part from those of the others, as it does with several readings.
        way = Way(name=f"part {place + 1}", order=job.order, sample=place)
        return await _answers(chunk, way, way.job(job))

    parts = await read_together(runtime, one)
    check_read([each for part in parts for each in part.unread], job)
    return {"parts": parts}


async def _answers(chunk: Chunk, way: Way, job: Job) -> Part:
    """Answers from a chunk; one that the server finds too long is read in halves."""
    todo = [(chunk.span, chunk.tokens)]
    part = Part()
    while todo:
        span, tokens = todo.pop(0)
        try:
            part = replace(part, outcomes=(*part.outcomes, await _answer(span, way, job)))
        except ContextOverflow:
            if tokens < 2 * MIN_ROOM:
                raise
            text = job.document(span.doc).text
            pieces = split_text(text, -(-tokens // 2), job.ctx.counter, span.start, span.end)
            todo = [(Span(doc=span.doc, start=start, end=end), size) for start, end, size in pieces] + todo
        except InvalidReply as error:
            unread = Unread(span=span, reason=f"{error.code}: {error.message}")
            part = replace(part, unread=(*part.unread, unread))
    return part


async def _answer(span: Span, way: Way, job: Job) -> Outcome:
    passage = Passage(text=job.document(span.doc).read(span), span=span, part=way.sample + 1, parts=len(job.chunks))
    result = await team_of(job.ctx).reader.run(
        team_of(job.ctx).reader.request(passage, job.ctx, max_tokens=job.window.answer), job.ctx
    )
    documents = {document.id: document for document in job.documents}
    cited = cite(result.notes.text, result.notes, documents, job.ctx.fence.tag)
    whole = Coverage(chunks=1, read=1)
    return Outcome(text=cited.text, citations=cited.citations, coverage=whole, sample=way.sample)


async def _vote(state: MergeState, runtime: Any) -> MergeState:
    job: Job = runtime.context
    parts = state.get("parts", [])
    outcomes = [outcome for part in parts for outcome in part.outcomes]
    stated = [outcome for outcome in outcomes if not says_not_stated(outcome.text, job.ctx.task)] or outcomes
    selected = await select(stated, "vote", job)
    unread = tuple(each for part in parts for each in part.unread)
    steps = len(job.chunks) + 1
    tell(runtime, StepDone(done=steps, steps=steps, usage=job.usage(), outcome="selected"))
    coverage = Coverage(chunks=len(job.chunks), read=read_whole(unread, job), failed=unread)
    chosen = stated[selected.index]
    readings = tuple(_reading(outcome, chosen, selected) for outcome in outcomes)
    return {"outcome": replace(chosen, coverage=coverage, readings=readings)}


def _reading(outcome: Outcome, chosen: Outcome, selected: Selected) -> Reading:
    name = f"part {outcome.sample + 1}"
    if outcome is chosen:
        return Reading(name=name, text=outcome.text, fate="selected", reason=selected.reason)
    return Reading(name=name, text=outcome.text, fate="not selected")
