"""A streamed chat completion put together again: server-sent events in, a whole `Reply` or an error out.

A stream can end in the middle without any error of the connection; SDKs return what came until then. Here a reply is
whole only when the server has said how it finished.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from coa.errors import ProviderUnavailable
from coa.serving.base import Reply
from coa.serving.bodies import BrokenBody, Oversized
from coa.serving.chat import body_of, reply_of

_DATA = b"data:"
_DONE = b"[DONE]"
_OTHER_FIELDS = (b":", b"event:", b"id:", b"retry:")


class Gathered:
    """Takes a stream line by line.

    Args:
        hear: Called with each piece of the text as it comes.
    """

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._body: list[bytes] = []
        self._last: dict[str, object] = {}
        self._events, self._done, self._bent = 0, False, False
        self.finish: object = None
        self.error: Mapping[str, object] | None = None
        """The body of an error event."""

    def take(self, line: bytes) -> None:
        """Take a line, without its end."""
        if line.startswith(_DATA):
            self._take_event(line[len(_DATA) :].strip())
        elif line and not line.startswith(_OTHER_FIELDS):
            self._body.append(line)

    def reply(self, *, model: str) -> Reply:
        """The whole reply.

        Raises:
            ProviderUnavailable: the stream ended before the reply did, or held something that is no JSON.
            MalformedReply: a server that does not stream sent no completion.
        """
        if not self._events and not self._done:
            return reply_of(body_of(b"\n".join(self._body), model=model), model=model)
        if self._bent or not (self.finish or self._done):
            raise ProviderUnavailable(f"{model}: the stream ended before the reply did", status=200)
        message = {"content": "".join(self._text), "refusal": "".join(self._refusal) or None}
        choice = {"message": message, "finish_reason": self.finish}
        return reply_of({**self._last, "choices": [choice]}, model=model)

    def _take_event(self, data: bytes) -> None:
        if data == _DONE:
            self._done = True
            return
        try:
            event: object = json.loads(data)
        except (ValueError, RecursionError):
            self._bent = True
            return
        self._events += 1
        if isinstance(event, Mapping):
            self._take_object(cast("Mapping[str, Any]", event))

    def _take_object(self, event: Mapping[str, Any]) -> None:
        choices = event.get("choices")
        if event.get("error") and not choices:
            self.error = event
            return
        self._last |= {name: event[name] for name in ("model", "usage") if event.get(name)}
        if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
            self._take_choice(cast("Mapping[str, Any]", choices[0]))

    def _take_choice(self, choice: Mapping[str, Any]) -> None:
        self.finish = choice.get("finish_reason") or self.finish
        found = choice.get("delta")
        delta = cast("Mapping[str, Any]", found if isinstance(found, Mapping) else {})
        if isinstance(refusal := delta.get("refusal"), str):
            self._refusal.append(refusal)
        if isinstance(piece := delta.get("content"), str) and piece:
            self._text.append(piece)
            self._hear(piece)


async def gather(blocks: AsyncIterator[bytes], gathered: Gathered) -> None:
    """Take a stream to its end.

    Raises:
        BrokenBody, Oversized: it broke, or went on, before the server had said how the reply finished.
    """
    try:
        async for line in _lines(blocks):
            gathered.take(line)
    except (BrokenBody, Oversized):
        if not gathered.finish:
            raise


async def _lines(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Lines by their line feeds alone: what else Unicode calls a line break may stand in the JSON of an event."""
    begun: list[bytes] = []
    async for block in blocks:
        first, *others = block.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun).rstrip(b"\r")
            begun = [other]
    if left := b"".join(begun):
        yield left.rstrip(b"\r")
