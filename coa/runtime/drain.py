"""A call on its way when its run is stopped is given a moment more: its reply will be paid for in any case."""

from __future__ import annotations

import asyncio
from typing import Any


async def ended(task: asyncio.Task[Any], patience: float) -> None:
    """Wait until a task is over, however it went.

    Cancelled, wait ``patience`` seconds more; cancelled again, end it at once. It is over in any case when this returns
    or raises.
    """
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        try:
            await asyncio.wait({task}, timeout=patience)
        finally:
            task.cancel()
            await asyncio.wait({task})
        raise
