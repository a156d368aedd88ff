"""The streaming twins: ``async for event in coa.stream.ask(...)`` yields typed events, the answer last.

They take what their twins in `coa.aio` take. The final text comes in pieces (`coa.events.TextPiece`) unless
``stream=False`` is given. Whoever stops listening early closes the generator (``await events.aclose()``): that ends the
run, whose finished calls are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack, cast

from coa import aio
from coa.events import Emit, Event, RunFinished, ignore
from coa.types import Answer

if TYPE_CHECKING:
    from coa.aggregation.run import Aggregation
    from coa.config import Options
    from coa.runtime.limiter import Limiter
    from coa.serving.base import Model

__all__ = ["aggregate", "ask", "complete", "summarize", "verify", "write"]

P = ParamSpec("P")
T = TypeVar("T")


async def follow(
    start: Callable[[Emit], Coroutine[Any, Any, T]], answer: Callable[[T], Answer]
) -> AsyncGenerator[Event, None]:
    """The events of what ``start`` begins with the `Emit` it is given; the last carries ``answer`` of its result."""
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
        yield RunFinished(answer=answer(await task))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _streaming(
    twin: Callable[P, Coroutine[Any, Any, T]], answer: Callable[[T], Answer]
) -> Callable[P, AsyncGenerator[Event, None]]:
    """The twin as a generator of its events; ``answer`` takes out of its result what the last one carries."""

    @wraps(twin, assigned=("__name__", "__qualname__", "__doc__"))
    def call(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Event, None]:
        told, start = cast("Emit", kwargs.get("on_event", ignore)), cast("Callable[..., Coroutine[Any, Any, T]]", twin)

        def begun(queued: Emit) -> Coroutine[Any, Any, T]:
            def emit(event: Event) -> None:
                told(event)
                queued(event)

            return start(*args, **{"stream": True, **kwargs, "on_event": emit})

        return follow(begun, answer)

    return call


def itself(answer: Answer) -> Answer:
    """What `follow` takes out of a run that gives an answer."""
    return answer


def _of_aggregation(found: Aggregation) -> Answer:
    """Its figures as text."""
    return found.answer


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


aggregate = _streaming(aio.aggregate, _of_aggregation)
ask = _streaming(aio.ask, itself)
complete = _streaming(aio.complete, itself)
summarize = _streaming(aio.summarize, itself)
verify = _streaming(_verify_one, itself)
write = _streaming(aio.write, itself)
