"""Just enough HTTP/1.1 for a server that breaks it on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from coa.testing.fault import Fault

_FLOOD = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


async def receive(reader: asyncio.StreamReader) -> Received | None:
    """The next request of a connection; None when the client has hung up."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return None
    return Received(method=method, path=path.partition("?")[0], headers=headers, body=body)


async def send(writer: asyncio.StreamWriter, body: bytes, fault: Fault, *, streamed: bool = False) -> bool:
    """Write a response as the fault wants it; says whether the connection may be used again."""
    if fault.cut == 0 and not fault.clean:
        return await _end(writer, fault)
    shown = body if fault.cut is None else body[: fault.cut]
    framed = streamed and fault.status == 200
    await _head(writer, fault, None if framed else len(shown if fault.clean else body), streamed=framed)
    await _write(writer, shown if not framed else _chunk(shown), fault.trickle)
    if fault.cut is not None and not fault.clean:
        return await _end(writer, fault)
    if framed:
        await _write(writer, b"0\r\n\r\n", 0.0)
    return fault.end == "keep" or await _end(writer, fault)


async def flood(writer: asyncio.StreamWriter, body: bytes, fault: Fault, *, streamed: bool) -> AsyncIterator[int]:
    """Write a response that never ends, and tell how many bytes of it the client took.

    Raises:
        ConnectionError: the client has hung up.
    """
    await _head(writer, fault, None, streamed=streamed)
    await _write(writer, _chunk(body), 0.0)
    more = body * (1 + _FLOOD // len(body)) if streamed else b" " * _FLOOD
    while True:
        await _write(writer, _chunk(more), fault.trickle)
        yield len(more)


async def _head(writer: asyncio.StreamWriter, fault: Fault, length: int | None, *, streamed: bool) -> None:
    phrase = HTTPStatus(fault.status).phrase if fault.status in set(HTTPStatus) else "Injected"
    kind = "text/event-stream" if streamed else "application/json"
    framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
    headers = {"Content-Type": kind, **framing, "Connection": "keep-alive", **fault.headers}
    writer.write(f"HTTP/1.1 {fault.status} {phrase}\r\n".encode("latin-1"))
    if fault.head_delay:
        await writer.drain()
        await asyncio.sleep(fault.head_delay)
    writer.write("".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1") + b"\r\n")
    await writer.drain()


async def _write(writer: asyncio.StreamWriter, data: bytes, trickle: float) -> None:
    pieces = [data[at : at + 1] for at in range(len(data))] if trickle else [data]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        if trickle:
            await asyncio.sleep(trickle)


async def _end(writer: asyncio.StreamWriter, fault: Fault) -> bool:
    if fault.end == "hang":
        await asyncio.Event().wait()
    if fault.end == "reset":
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0)
        writer.transport.abort()
    return False


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
