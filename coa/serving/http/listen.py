"""Run an `App` under uvicorn until a signal comes."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from importlib import import_module
from typing import Any

from coa.errors import MissingExtra, UsageError
from coa.runtime.signals import on_stop
from coa.serving.http.app import App

_GRACE = 5
"""Seconds that clients may take to fetch what they were sent, once the server stops."""
_BACKLOG = 512


def uvicorn() -> Any:
    """The package, handled as Any: types are checked where it is not installed.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return import_module("uvicorn")
    except ModuleNotFoundError:
        raise MissingExtra("a server needs uvicorn", hint="pip install 'chain-of-agents[serve]'") from None


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens already: whoever knows its address may connect.

    Raises:
        UsageError: the address is taken, or none of this machine.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on {host!r}, port {port}: {said}", hint="Choose another --port.") from None


def address_of(host: str, listening: socket.socket) -> str:
    """The address that clients are given, up to ``/v1``."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/v1"


async def serve(app: App, listening: socket.socket) -> None:
    """Answer requests until SIGINT or SIGTERM: then runs at work are ended and their clients told."""
    package = uvicorn()
    config = package.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = package.Server(config)
    server.capture_signals = nullcontext  # Its own way with signals would raise them again after a clean end.

    def stop(_: int) -> None:
        server.force_exit = server.should_exit  # A second signal does not wait.
        server.should_exit = True
        app.stop()

    on_stop(stop)
    await server.serve(sockets=[listening])
