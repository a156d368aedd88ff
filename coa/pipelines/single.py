"""One call over the whole document: the best there is when it fits a window that the model reads well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from coa.agents.team import team_of
from coa.errors import ContextOverflow, WindowTooSmall
from coa.events import StepDone
from coa.pipelines.base import Calls, Job, Outcome
from coa.pipelines.chain import ChainOfAgents
from coa.pipelines.graph import in_a_row, tell
from coa.pipelines.state import GraphState, outcome
from coa.pipelines.window import Window
from coa.types import Chunk, Passage


def fits(chunks: Sequence[Chunk], window: Window) -> bool:
    """Whether one document is all there is, and one prompt holds it beside the answer."""
    one = len({chunk.span.doc for chunk in chunks}) == 1
    return one and sum(chunk.tokens for chunk in chunks) <= window.size - window.answer - window.worker


class Single:
    """One reader, one call. A server that takes less than it declared gets the chain instead."""

    @cached_property
    def graph(self) -> Any:
        """The compiled graph; its ``context`` is a `Job`."""
        return in_a_row(GraphState, reader=_read)

    def steps(self, chunks: int) -> int:
        """One."""
        return 1

    def estimate(self, chunks: Sequence[Chunk], window: Window) -> Calls:
        """One call with everything in it.

        Raises:
            WindowTooSmall: it does not fit into one prompt.
        """
        _check(chunks, window)
        text = sum(chunk.tokens for chunk in chunks)
        return Calls(calls=1, serial=1, prompt_tokens=text + window.worker, completion_tokens=window.answer)

    async def run(self, job: Job) -> Outcome:
        """Read and answer.

        Raises:
            WindowTooSmall: there are several documents, or the one is too long.
            ModelError: the provider failed for good.
        """
        _check(job.chunks, job.window)
        try:
            state = await self.graph.ainvoke({"i": 0}, context=job)
        except ContextOverflow:
            return await ChainOfAgents().run(job)
        return outcome(state, job)


def _check(chunks: Sequence[Chunk], window: Window) -> None:
    if not fits(chunks, window):
        raise WindowTooSmall(
            "the documents do not fit into one prompt", hint="Use --topology chain, or auto to let it choose."
        )


async def _read(_: GraphState, runtime: Any) -> GraphState:
    job: Job = runtime.context
    (document,) = [each for each in job.documents if each.id == job.chunks[0].span.doc]
    span = document.span(0, len(document.text))
    passage = Passage(text=document.text, span=span, part=1, parts=1)
    result = await team_of(job.ctx).reader.run(
        team_of(job.ctx).reader.request(passage, job.ctx, max_tokens=job.window.answer), job.ctx
    )
    tell(runtime, StepDone(done=1, steps=1, usage=job.usage(), span=span, outcome="answered"))
    return {
        "i": len(job.chunks),
        "text": result.notes.text,
        "notes": asdict(result.notes),
        "dropped": result.dropped,
        "unread": [],
    }
