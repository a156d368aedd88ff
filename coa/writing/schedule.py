"""Which chapter is written first where there are more chapters than places."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Sequence


def urgency(words: Sequence[int], waits: Sequence[set[int]]) -> list[int]:
    """For each chapter, the words on the longest way from its beginning to the end of the document.

    Args:
        words: Of each chapter.
        waits: For each chapter, the numbers of those that it waits for; there is no cycle.
    """
    behind: list[list[int]] = [[] for _ in words]
    for number, others in enumerate(waits):
        for other in others:
            behind[other].append(number)
    found: dict[int, int] = {}

    def way(number: int) -> int:
        if number not in found:
            found[number] = words[number] + max((way(later) for later in behind[number]), default=0)
        return found[number]

    return [way(number) for number in range(len(words))]


class Places:
    """A fixed number of places; the most urgent of those who wait gets the next one, the first come among equals."""

    def __init__(self, count: int) -> None:
        self._free, self._came = count, 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def take(self, urgency: int) -> None:
        """Wait for a place and hold it until `give`."""
        self._came += 1
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-urgency, self._came, place))
        # Whoever asks at the same moment is compared before a place is given away.
        asyncio.get_running_loop().call_soon(self._hand_on)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.give()
            raise

    def give(self) -> None:
        """Give the place back."""
        self._free += 1
        self._hand_on()

    def _hand_on(self) -> None:
        while self._free and self._waiting:
            *_, place = heapq.heappop(self._waiting)
            if not place.done():
                self._free -= 1
                place.set_result(None)
