"""A server that bears so many calls at once: the limit settles there. The loop's time jumps to what is due."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from coa.errors import RateLimited
from coa.runtime.budget import Budget
from coa.runtime.caller import Caller, Route
from coa.runtime.journal import MemoryJournal
from coa.runtime.limiter import Limiter
from coa.runtime.retry import RetryPolicy
from coa.serving.base import Message, Reply, Request
from coa.testing import ScriptedModel

CAPACITY = 16
SECONDS = 2.0


class Timeless(asyncio.SelectorEventLoop):
    """Nothing is ever waited for: when all wait, the clock stands at the next moment at which something is due."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0

    def time(self) -> float:
        return self.moment

    def _run_once(self) -> None:
        due = self._scheduled  # type: ignore[attr-defined]
        if not self._ready and due:  # type: ignore[attr-defined]
            self.moment = max(self.moment, due[0].when())
        super()._run_once()  # type: ignore[misc]


class LoopClock:
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def timeless(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Timeless) as runner:
        runner.run(work)


class Server:
    """Takes so many calls at once and refuses one more."""

    def __init__(self) -> None:
        self.in_flight = self.most = self.refused = self.served = 0

    async def reply(self, _: Request) -> Reply:
        if self.in_flight >= CAPACITY:
            self.refused += 1
            raise RateLimited("too many at once", retry_after=1.0)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(SECONDS)
        finally:
            self.in_flight -= 1
        self.served += 1
        return Reply(text="ok", finish="stop", model="m", prompt_tokens=10, completion_tokens=5)


def caller(server: Server, concurrency: int) -> tuple[Caller, Limiter]:
    clock = LoopClock()
    limiter = Limiter(concurrency, clock=clock)
    made = Caller(
        [Route(model=ScriptedModel(server.reply, window=4096))],
        MemoryJournal(),
        limiter=limiter,
        budget=Budget(),
        policy=RetryPolicy(retries=50, timeout=600.0, clock=clock, rng=random.Random(1)),
        clock=clock,
    )
    return made, limiter


def request(n: int) -> Request:
    return Request(messages=(Message(role="user", content=f"Question {n}"),), role="worker", max_tokens=10)


@pytest.mark.parametrize(
    "concurrency", [16, 256, *(pytest.param(few, marks=pytest.mark.slow) for few in (1, 8, 32, 64))]
)
def test_the_limit_settles_where_the_server_bears_it(concurrency: int) -> None:
    calls = 1000

    async def work() -> None:
        server = Server()
        call, limiter = caller(server, concurrency)
        await asyncio.gather(*(call(request(n)) for n in range(calls)))
        assert server.served == calls and limiter.in_flight == 0
        ideal = calls * SECONDS / min(concurrency, CAPACITY)
        assert ideal / asyncio.get_running_loop().time() >= 0.85
        assert server.refused <= 0.05 * calls
        assert len(asyncio.all_tasks()) == 1

    timeless(work())


def test_no_call_starves_and_cancelled_ones_give_their_places_back() -> None:
    async def work() -> None:
        server = Server()
        call, limiter = caller(server, 64)
        tasks = [asyncio.create_task(call(request(n))) for n in range(400)]
        await asyncio.sleep(3 * SECONDS)
        for task in tasks[1::3]:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        kept = [result for n, result in enumerate(ended) if n % 3 != 1]
        assert all(isinstance(result, Reply) for result in kept)
        assert limiter.in_flight == 0 and len(asyncio.all_tasks()) == 1

    timeless(work())
