"""Carry a chat's run out and send its reply; a client that hangs up ends the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from coa import api
from coa.config import Settings
from coa.errors import CoaError
from coa.events import Event, RunFinished, StepDone
from coa.runtime.limiter import Limiter
from coa.serving.http.body import Receive, Send, gone
from coa.serving.http.chat import Chat
from coa.serving.http.errors import Failure, Refusal, failure_of
from coa.serving.http.wire import BEAT, Writer, encoded, event
from coa.stream import answered, follow
from coa.types import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """What carries runs out, all with the same settings.

    Attributes:
        limiter: Calls in flight at once, of all runs together.
        private: Texts of this machine that no client may see.
        log: Told a line for each request.
        running: Tasks at work.
        silence: Seconds that a stream may stay silent; then a comment shows that the connection is alive.
    """

    settings: Settings
    limiter: Limiter
    private: tuple[str, ...] = ()
    log: Callable[[str], None] = lambda _: None
    running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    silence: float = 15.0

    def stop(self) -> None:
        """End every run; its client is told, and finished calls are kept."""
        for task in self.running:
            task.cancel("stopping")

    async def reply(self, chat: Chat, receive: Receive, send: Send) -> None:
        """Send the reply, or nothing to a client that is gone.

        Raises:
            CoaError: the run failed before anything was sent.
        """
        work = asyncio.create_task(self._sent(chat, send))
        leaving = asyncio.create_task(gone(receive))
        self.running.add(work)
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self.log(f"{chat.model}: the client hung up; finished calls are kept")
                work.cancel()
            with suppress(asyncio.CancelledError):
                await work
        finally:
            self.running.discard(work)
            for task in (work, leaving):
                task.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)

    async def _sent(self, chat: Chat, send: Send) -> None:
        settings = self.settings.model_copy(update={"stream": False})  # Words that are not verified yet are not shown.
        events = follow(
            lambda emit: api.run(chat.task, chat.documents, settings, emit=emit, limiter=self.limiter), answered
        )
        try:
            first = await anext(events)
            answer = await self._streamed(chat, first, events, send) if chat.wanted.stream else await _last(events)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("stopping",):
                raise
            raise _stopping() from None
        finally:
            await events.aclose()
        if answer is None:
            return
        if not chat.wanted.stream:
            await send_json(send, 200, encoded(Writer(chat=chat).whole(answer)))
        self.log(
            f"{chat.model}: {answer.status}, {answer.usage.calls} calls and {answer.usage.calls_from_journal} from the "
            f"journal, {answer.usage.seconds:.1f} s, run {answer.run_id}"
        )

    async def _streamed(
        self, chat: Chat, first: Event, events: AsyncGenerator[Event, None], send: Send
    ) -> Answer | None:
        """The answer, once it was sent; None where an error was sent in its place."""
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
        writer = Writer(chat=chat)
        await _piece(send, writer.first())
        answer: Answer | None = None
        try:
            async for each in _with_beats(first, events, self.silence):
                match each:
                    case None:
                        await _piece(send, BEAT)
                    case StepDone():
                        await _piece(send, writer.progress(each.done, each.steps))
                    case RunFinished():
                        answer = each.answer
                        for piece in writer.last(answer):
                            await _piece(send, piece)
                    case _:
                        pass
        except CoaError as error:
            await self._broken(chat, send, failure_of(error, self.private), error)
        except asyncio.CancelledError as cancelled:
            if cancelled.args != ("stopping",):
                raise
            await self._broken(chat, send, failure_of(_stopping()), _stopping())
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return answer

    async def _broken(self, chat: Chat, send: Send, failure: Failure, error: CoaError) -> None:
        """The status is sent already: the error is the last event, and no end follows it."""
        self.log(f"{chat.model}: {error.code}: {error.message}")
        await _piece(send, event(failure.body))


_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


def _stopping() -> Refusal:
    hint = "Finished calls are kept: send the same request once the server is back."
    return Refusal(503, "ServerStopping", "the server is being stopped", hint=hint)


async def send_json(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """A whole response."""
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})


async def _piece(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _last(events: AsyncGenerator[Event, None]) -> Answer | None:
    found: Answer | None = None
    async for each in events:
        if isinstance(each, RunFinished):
            found = each.answer
    return found


async def _with_beats(first: Event, events: AsyncGenerator[Event, None], silence: float) -> AsyncIterator[Event | None]:
    """The events, and None whenever nothing came for a while."""
    yield first
    waiting = asyncio.create_task(_next(events))
    try:
        while True:
            done, _ = await asyncio.wait({waiting}, timeout=silence)
            if not done:
                yield None
            elif (each := waiting.result()) is None:
                return
            else:
                yield each
                waiting = asyncio.create_task(_next(events))
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    return await anext(events, None)
