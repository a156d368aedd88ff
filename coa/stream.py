"""The streaming twins: ``async for event in coa.stream.ask(...)`` yields typed events, the result last.

They take what their twins in `coa.aio` take. The last event is `coa.events.RunFinished` with the answer; of `trace` and
`trace_run` `TraceFinished`, of `index` `IndexFinished`. The final text comes in pieces (`coa.events.TextPiece`) unless
``stream=False`` is given. Whoever stops listening early closes the generator (``await events.aclose()``): that ends the
run, whose finished calls are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast

from coa import aio
from coa.events import Emit, Event, IndexFinished, RunFinished, TraceFinished, ignore
from coa.types import Answer

if TYPE_CHECKING:
    from coa.aggregation.run import Aggregation
    from coa.attribution.trace import Trace
    from coa.config import Options
    from coa.retrieval.index import Index
    from coa.runtime.limiter import Limiter
    from coa.serving.base import Model

__all__ = ["aggregate", "ask", "complete", "index", "summarize", "trace", "trace_run", "verify", "write"]

P = ParamSpec("P")
T = TypeVar("T")


async def follow(
    start: Callable[[Emit], Coroutine[Any, Any, T]], last: Callable[[T], Event]
) -> AsyncGenerator[Event, None]:
    """The events of what ``start`` begins with the `Emit` it is given; ``last`` makes the last one of its result."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def work() -> T:
        try:
            return await start(queue.put_nowait)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while (event := await queue.get()) is not None:
            if not isinstance(event, RunFinished):
                yield event
        yield last(await task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _streaming(
    twin: Callable[P, Coroutine[Any, Any, T]], last: Callable[[T], Event], *, speaks: bool = True
) -> Callable[P, AsyncGenerator[Event, None]]:
    """The twin as a generator of its events; ``last`` makes one of its result. ``speaks``: its text comes in pieces."""
    first = {"stream": True} if speaks else {}

    @wraps(twin, assigned=("__name__", "__qualname__", "__doc__"))
    def call(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Event, None]:
        told, start = cast("Emit", kwargs.get("on_event", ignore)), cast("Callable[..., Coroutine[Any, Any, T]]", twin)

        def begun(queued: Emit) -> Coroutine[Any, Any, T]:
            def emit(event: Event) -> None:
                told(event)
                queued(event)

            return start(*args, **{**first, **kwargs, "on_event": emit})

        return follow(begun, last)

    return call


def answered(answer: Answer) -> Event:
    """The last event of a run that gives an answer, for `follow`."""
    return RunFinished(answer=answer)


def _aggregated(found: Aggregation) -> Event:
    """Its figures as text."""
    return RunFinished(answer=found.answer)


def _traced(found: Trace) -> Event:
    return TraceFinished(trace=found)


def _indexed(opened: Index) -> Event:
    return IndexFinished(index=opened)


async def _verify_one(
    source: aio.Sources,
    claim: str,
    *,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    limiter: Limiter | None = None,
    **options: Unpack[Options],
) -> Answer:
    """Does the document say so? One claim; `coa.verification.verdict_of` makes a verdict of the last event's answer."""
    (found,) = await aio.verify(source, claim, model=model, on_event=on_event, limiter=limiter, **options)
    return found.answer


aggregate = _streaming(aio.aggregate, _aggregated)
ask = _streaming(aio.ask, answered)
complete = _streaming(aio.complete, answered)
index = _streaming(aio.index, _indexed, speaks=False)
summarize = _streaming(aio.summarize, answered)
trace = _streaming(aio.trace, _traced, speaks=False)
trace_run = _streaming(aio.trace_run, _traced, speaks=False)
verify = _streaming(_verify_one, answered)
write = _streaming(aio.write, answered)
