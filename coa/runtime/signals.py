"""SIGINT and SIGTERM inside an event loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress


def on_stop(stop: Callable[[int], None]) -> None:
    """Have the running loop call ``stop`` with the number of SIGINT or SIGTERM when it comes.

    Outside the main thread, and on loops that handle no signals, they keep the meaning they have.
    """
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop, number)
