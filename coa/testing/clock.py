"""`FakeClock`: time that passes only when every task waits for it, so that tests of long waits take none."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

_PASSES = 8


class FakeClock:
    """A `coa.runtime.clock.Clock` whose sleepers wake in the order of their deadlines, as soon as nothing else can run.

    It does not see sockets and threads: use it where everything that is awaited is a task or a sleep on this clock.

    Attributes:
        sleeps: Every wait that was asked for, in seconds, in order.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tickets = count()
        self._pumping = False
        self.sleeps: list[float] = []

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody waking."""
        self._now += seconds

    async def sleep(self, seconds: float) -> None:
        """Wait until all others wait too and this deadline is the next."""
        self.sleeps.append(seconds)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._tickets), future))
        if not self._pumping:
            self._pumping = True
            loop.call_soon(self._pump, loop, 0)
        await future

    def _pump(self, loop: asyncio.AbstractEventLoop, passes: int) -> None:
        """Give the other tasks some passes of the loop, then wake the next sleeper."""
        if passes < _PASSES:
            loop.call_soon(self._pump, loop, passes + 1)
            return
        while self._sleepers:
            deadline, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self._now = max(self._now, deadline)
                future.set_result(None)
                loop.call_soon(self._pump, loop, 0)
                return
        self._pumping = False
