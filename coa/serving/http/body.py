"""The body of a request, read no further than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

from coa.serving.http.errors import Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SECONDS = 120.0
"""Time that a body may take to arrive."""
_DRAIN_SECONDS = 2.0


class ClientGone(Exception):
    """Whoever asked hung up."""


async def read_body(receive: Receive, headers: dict[str, str], most: int) -> bytes:
    """All of it.

    Raises:
        Refusal: it is longer than ``most`` bytes, whatever its header says, or takes too long.
        ClientGone: it ended before its end.
    """
    declared = headers.get("content-length", "")
    data = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            if not (declared.isdecimal() and int(declared) > most):
                async for piece in _pieces(receive):
                    data += piece
                    if len(data) > most:
                        break
                else:
                    return bytes(data)
    except TimeoutError:
        hint = "Send it faster, or in several requests."
        raise Refusal(408, "RequestTimeout", f"the body did not arrive in {SECONDS:g} s", hint=hint) from None
    data.clear()
    await _drain(receive, most)
    hint = "Send less; whoever runs the server can raise --max-body."
    raise Refusal(413, "InputTooLarge", f"the body is longer than {most} bytes", hint=hint)


async def gone(receive: Receive) -> None:
    """Wait until the client hangs up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drain(receive: Receive, most: int) -> None:
    """Let a client that sends too much say its piece for a moment: else many never read why they were refused."""
    left = most
    with suppress(TimeoutError, ClientGone):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for piece in _pieces(receive):
                left -= len(piece)
                if left < 0:
                    return


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        more = message.get("more_body", False)
