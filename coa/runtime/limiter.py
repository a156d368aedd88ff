"""`Limiter`: how many calls are in flight. Starts slowly, backs off when the server says that it is too much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

_START = 10
_BACK_OFF = 0.8


class Limiter:
    """First come, first served: at most ``limit`` at once, by additive increase and multiplicative decrease."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = float(min(_START, most))
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        """Calls allowed in flight at this moment."""
        return max(1, int(self._limit))

    @property
    def in_flight(self) -> int:
        """Calls in flight at this moment."""
        return self._in_flight

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[None]:
        """Wait for a place and hold it; a cancelled wait or call gives its place on."""
        await self._acquire()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._wake()

    def succeeded(self) -> None:
        """A call went well: allow a little more, if all places are in use."""
        if self._in_flight >= self.limit:
            self._limit = min(self._most, self._limit + 1 / self.limit)
            self._wake()

    def throttled(self) -> None:
        """The server asked for less."""
        self._limit = max(1.0, self._limit * _BACK_OFF)

    async def _acquire(self) -> None:
        if self._in_flight < self.limit and not self._waiting:
            self._in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._in_flight -= 1
                self._wake()
            else:
                self._waiting.remove(place)
            raise

    def _wake(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)
