"""What the pipelines' graphs share: nodes in a row, steps told as they are done, parts read side by side."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, Protocol, TypeVar

from coa.events import StepDone
from coa.pipelines.base import Job
from coa.runtime.together import together
from coa.types import Chunk, Notes, Unread


class Part(Protocol):
    """What came of one chunk that was read."""

    @property
    def unread(self) -> tuple[Unread, ...]:
        """The stretches of it that were not read."""
        ...

    @property
    def notes(self) -> Notes | None:
        """What its worker wrote, if it wrote notes."""
        ...


P = TypeVar("P", bound=Part)


def in_a_row(state: Any, **nodes: Callable[..., Awaitable[Any]]) -> Any:
    """A compiled graph whose nodes follow each other; its ``context`` is a `Job`."""
    from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

    # LangGraph ships no complete types: graphs are handled as Any.
    graph: Any = StateGraph(state, context_schema=Job)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for one, other in pairwise((START, *nodes, END)):
        graph.add_edge(one, other)
    return graph.compile()


def tell(runtime: Any, event: StepDone) -> None:
    """To the job's own listener, and to whoever streams the graph."""
    runtime.context.emit(event)
    runtime.stream_writer(event)


def tell_read(runtime: Any, done: int, chunk: Chunk, part: Part) -> None:
    """That a chunk was read, as the ``done``-th step; the last step is the answer."""
    job: Job = runtime.context
    event = StepDone(
        done=done,
        steps=len(job.chunks) + 1,
        usage=job.usage(),
        span=chunk.span,
        outcome="failed" if part.unread else "read",
        notes=part.notes,
    )
    tell(runtime, event)


async def read_together(runtime: Any, read: Callable[[int, Chunk], Awaitable[P]]) -> list[P]:
    """What ``read`` gives for every chunk, all at once, in the order of reading; each is told when it is done.

    Args:
        runtime: LangGraph's; its ``context`` is a `Job`.
        read: Takes a chunk's place in that order, from 0, and the chunk.
    """
    job: Job = runtime.context
    finished = 0

    async def one(place: int, chunk: Chunk) -> P:
        nonlocal finished
        part = await read(place, chunk)
        finished += 1
        tell_read(runtime, finished, chunk, part)
        return part

    return await together([one(place, job.chunks[index]) for place, index in enumerate(job.order)])
