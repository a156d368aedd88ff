"""How much of a response is read: one owner for every HTTP client of this package.

A server that sends without end would otherwise fill the memory until the deadline of the call. What a reply may take
follows from what was asked for; of an error, a status page or a table of figures, a fixed amount is read.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from coa.serving.base import Request

_MB = 1024 * 1024
_FLOOR = 16 * _MB
_A_TOKEN = 1024
"""Bytes: one event of a stream for each token, or twenty likely tokens in place of each."""
_A_CHARACTER = 128
"""Bytes: servers may send back a probability for every token of the prompt."""
ERROR_BYTES = _MB
PAGE_BYTES = 4 * _MB
_PIECE = 64 * 1024
_REFUSED = 300


class Oversized(Exception):
    """More came than may be read.

    Attributes:
        most: The bytes that may be read.
    """

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most // _MB} MB")
        self.most = most


class BrokenBody(Exception):
    """The connection failed while the body was read, or nobody can read it."""


class Refusal(Exception):
    """A response whose status is not 2xx, with as much of its body as may be read."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.headers = status, headers
        self.body: object = _parsed(body)


class Response(Protocol):
    """What is used of a response of the client below ``openai``, whichever of its two libraries that is."""

    status_code: int
    headers: Mapping[str, str]

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body, block by block."""
        ...


def reply_bytes(request: Request) -> int:
    """Bytes that the answer to a request may take: 16 MB, and more with the tokens asked for and the prompt sent."""
    sent = sum(len(message.content) for message in request.messages)
    return _FLOOR + _A_TOKEN * request.max_tokens + _A_CHARACTER * sent


async def check_head(response: Response) -> None:
    """Look at a response before its body is read.

    Raises:
        Refusal: its status is not 2xx. (Redirects are not followed: what was sent is for this server alone.)
        BrokenBody: it is compressed, though plain text was asked for: nobody knows how long it is.
    """
    headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    packed = headers.get("content-encoding", "identity") not in ("", "identity")
    if response.status_code >= _REFUSED:
        body = b"" if packed else await _beginning(response.aiter_bytes(), ERROR_BYTES)
        raise Refusal(response.status_code, headers, body)
    if packed:
        raise BrokenBody("the body is compressed, though that was not asked for")


async def bounded(blocks: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    """The blocks of a body, up to a bound.

    Raises:
        Oversized: there are more.
        BrokenBody: the connection failed.
    """
    size = 0
    while True:
        try:
            block = await anext(blocks, None)
        except Exception as error:  # The transport's own, which the SDK does not wrap here.
            raise BrokenBody(str(error) or type(error).__name__) from error
        if block is None:
            return
        size += len(block)
        if size > most:
            raise Oversized(most)
        yield block


class Readable(Protocol):
    """A response of `urllib`."""

    def read1(self, n: int, /) -> bytes:
        """At most so many bytes, those that are there."""
        ...


def read_page(response: Readable, seconds: float) -> bytes:
    """A page of a server, whole, in a given time.

    Raises:
        Oversized: it is longer than 4 MB.
        TimeoutError: it trickles.
    """
    until = time.monotonic() + seconds
    page = bytearray()
    while piece := response.read1(_PIECE):
        page += piece
        if len(page) > PAGE_BYTES:
            raise Oversized(PAGE_BYTES)
        if time.monotonic() > until:
            raise TimeoutError(f"not whole within {seconds:g} s")
    return bytes(page)


async def _beginning(blocks: AsyncIterator[bytes], most: int) -> bytes:
    body = bytearray()
    async for block in blocks:
        body += block
        if len(body) > most:
            break
    return bytes(body[:most])


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
