"""`Limiter`: how many calls are in flight. Starts slowly, backs off when the server says that it is too much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from coa.runtime.clock import Clock, SystemClock

_START = 10
_BACK_OFF = 0.8
_COOLDOWN = 1.0
_PROBE = 0.1


class Limiter:
    """First come, first served: at most ``limit`` at once, at most ``most`` ever.

    Every success that fills the limit raises it: by one before the first refusal (slow start), then by one a round of
    calls up to the number that the server last bore, and by a tenth of that beyond it. A refusal lowers the limit to
    0.8 of what it was, once a second at most, since the refusals of one moment all tell the same thing.
    """

    def __init__(self, most: int, *, clock: Clock | None = None) -> None:
        self._most = most
        self._clock = clock or SystemClock()
        self._limit = float(min(_START, most))
        self._borne: int | None = None
        self._quiet_until = float("-inf")
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
            self._release()

    def succeeded(self) -> None:
        """A call went well: allow a little more, if all places are in use."""
        if self._in_flight >= self.limit:
            self._limit = min(float(self._most), self._limit + self._step())
            self._wake()

    def throttled(self) -> None:
        """The server asked for less."""
        now = self._clock.now()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _COOLDOWN
        self._borne = max(1, min(self._in_flight, self.limit) - 1)
        self._limit = max(1.0, self._limit * _BACK_OFF)

    def _step(self) -> float:
        if self._borne is None:
            return 1.0
        return (1.0 if self.limit < self._borne else _PROBE) / self._limit

    async def _acquire(self) -> None:
        if self._in_flight < self.limit and not self._waiting:
            self._in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if not place.cancelled():
                self._release()
            raise

    def _release(self) -> None:
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        """Hand free places to those who wait; a cancelled wait is passed over."""
        while self._waiting and self._in_flight < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)
