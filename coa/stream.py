"""The streaming twins: ``async for event in coa.stream.ask(...)`` yields typed events, the answer last.

The final text comes in pieces (`coa.events.TextPiece`) unless ``stream=False`` is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coa import aio
from coa.events import Emit, Event, RunFinished
from coa.sources import SourceLike
from coa.types import Answer

if TYPE_CHECKING:
    from coa.aggregation.schema import SchemaLike

__all__ = ["aggregate", "ask", "complete", "summarize", "verify"]


async def summarize(source: SourceLike | Sequence[SourceLike], **options: Any) -> AsyncGenerator[Event, None]:
    """Events of `coa.summarize`; the last one is `coa.events.RunFinished`."""
    async for event in _events(lambda emit: aio.summarize(source, on_event=emit, **_streamed(options))):
        yield event


async def ask(source: SourceLike | Sequence[SourceLike], question: str, **options: Any) -> AsyncGenerator[Event, None]:
    """Events of `coa.ask`; the last one is `coa.events.RunFinished`."""
    async for event in _events(lambda emit: aio.ask(source, question, on_event=emit, **_streamed(options))):
        yield event


async def complete(repo: str | Path, *, file: str | Path, line: int, **options: Any) -> AsyncGenerator[Event, None]:
    """Events of `coa.complete`; the last one is `coa.events.RunFinished`."""
    given: dict[str, Any] = {"file": file, "line": line, **_streamed(options)}
    async for event in _events(lambda emit: aio.complete(repo, on_event=emit, **given)):
        yield event


async def verify(source: SourceLike | Sequence[SourceLike], claim: str, **options: Any) -> AsyncGenerator[Event, None]:
    """Events of `coa.verify` for one claim; `coa.verification.verdict_of` makes a verdict of the last one's answer."""

    async def start(emit: Emit) -> Answer:
        (found,) = await aio.verify(source, claim, on_event=emit, **_streamed(options))
        return found.answer

    async for event in _events(start):
        yield event


async def aggregate(
    source: SourceLike | Sequence[SourceLike], schema: SchemaLike, **options: Any
) -> AsyncGenerator[Event, None]:
    """Events of `coa.aggregate`; the last one's answer has the figures as text."""

    async def start(emit: Emit) -> Answer:
        return (await aio.aggregate(source, schema, on_event=emit, **_streamed(options))).answer

    async for event in _events(start):
        yield event


def _streamed(options: dict[str, Any]) -> dict[str, Any]:
    return {"stream": True, **options}


async def _events(start: Callable[[Callable[[Event], None]], Awaitable[Answer]]) -> AsyncGenerator[Event, None]:
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def work() -> Answer:
        try:
            return await start(queue.put_nowait)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while (event := await queue.get()) is not None:
            if not isinstance(event, RunFinished):
                yield event
        yield RunFinished(answer=await task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
