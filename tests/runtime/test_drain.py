"""A run that is stopped keeps the replies that are on their way, for a moment and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from coa.errors import AuthenticationFailed
from coa.runtime.budget import Budget
from coa.runtime.caller import Caller, Route
from coa.runtime.journal import MemoryJournal, request_key
from coa.runtime.limiter import Limiter
from coa.runtime.retry import RetryPolicy
from coa.runtime.together import together
from coa.serving.base import Message, Reply, Request
from coa.testing import ScriptedModel


def request(n: int = 0) -> Request:
    return Request(messages=(Message(role="user", content=f"Question {n}"),), role="worker", max_tokens=10)


class House:
    """A caller whose model waits until it is told to answer."""

    def __init__(self, places: int = 4) -> None:
        self.journal, self.asked, self.say = MemoryJournal(), asyncio.Event(), asyncio.Event()
        self.model = ScriptedModel(self._reply, window=4096)
        self.budget, self.limiter = Budget(), Limiter(places)
        self.caller = Caller(
            [Route(model=self.model)],
            self.journal,
            limiter=self.limiter,
            budget=self.budget,
            policy=RetryPolicy(retries=0, timeout=60.0),
        )

    async def _reply(self, _: Request) -> Reply:
        self.asked.set()
        await self.say.wait()
        return Reply(text="ok", finish="stop", model="m", prompt_tokens=10, completion_tokens=5)

    def kept(self, n: int = 0) -> bool:
        return self.journal.get(request_key(self.model.name, request(n))) is not None

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[asyncio.Task[Reply]]:
        """A call that is cancelled while the model thinks; afterwards it must be over."""
        call = asyncio.create_task(self.caller(request()))
        await self.asked.wait()
        call.cancel()
        await asyncio.sleep(0)
        assert not call.done()
        yield call
        with pytest.raises(asyncio.CancelledError):
            await call
        assert self.limiter.in_flight == 0 and self.budget.reserved.calls == 0
        assert len(asyncio.all_tasks()) == 1


async def test_a_reply_that_comes_while_the_run_stops_is_kept_and_counted() -> None:
    house = House()
    async with house.stopped():
        house.say.set()
    assert house.kept()
    assert house.budget.spent.calls == 1 and house.budget.spent.tokens == 15
    assert house.caller.usage.calls == 1


async def test_stopped_twice_it_ends_at_once_and_what_it_may_have_cost_counts_as_spent() -> None:
    house = House()
    async with house.stopped() as call:
        call.cancel()
    assert not house.kept()
    assert house.budget.spent.calls == 1 and house.budget.spent.tokens == 10


async def test_a_reply_that_does_not_come_is_not_waited_for_long() -> None:
    house = House()
    async with house.stopped() as call:
        await asyncio.wait({call}, timeout=20)
        assert call.done()
    assert not house.kept()


async def test_one_failure_stops_the_others_but_not_before_what_they_paid_for_is_kept() -> None:
    house = House()

    async def fails() -> Reply:
        await house.asked.wait()
        asyncio.get_running_loop().call_later(0.02, house.say.set)
        raise AuthenticationFailed("the key is gone")

    with pytest.raises(AuthenticationFailed):
        await together([house.caller(request()), fails()])
    assert house.kept()


async def test_a_call_that_only_waits_for_its_place_is_never_sent() -> None:
    house = House(places=1)
    first = asyncio.create_task(house.caller(request(1)))
    await house.asked.wait()
    second = asyncio.create_task(house.caller(request(2)))
    await asyncio.sleep(0)
    second.cancel()
    house.say.set()
    await asyncio.gather(first, second, return_exceptions=True)
    assert second.cancelled() and len(house.model.requests) == 1
