"""Retries, places and budgets, each with its one owner; time is a fake."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coa.errors import BudgetExceeded, CallTimeout, ProviderUnavailable, RateLimited, RequestRejected, UsageError
from coa.events import Event, Retrying
from coa.runtime.budget import Budget
from coa.runtime.caller import Caller, Route
from coa.runtime.journal import MemoryJournal
from coa.runtime.limiter import Limiter
from coa.runtime.prices import Price, price_for
from coa.runtime.retry import RetryPolicy
from coa.serving.base import Message, Reply, Request
from coa.testing import ScriptedModel

REPLY = Reply(text="ok", finish="stop", model="m", prompt_tokens=10, completion_tokens=5)


class FakeClock:
    def __init__(self) -> None:
        self.time, self.slept = 0.0, [0.0][:0]

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def failing(*errors: Exception):
    left = list(errors)

    async def send() -> Reply:
        if left:
            raise left.pop(0)
        return REPLY

    return send


def policy(clock: FakeClock, retries: int = 3, **more: float) -> RetryPolicy:
    return RetryPolicy(retries=retries, clock=clock, rng=random.Random(1), **more)  # type: ignore[arg-type]


async def test_a_server_that_says_how_long_is_waited_for_exactly_that_long():
    clock, seen = FakeClock(), list[Event]()
    await policy(clock).run(failing(RateLimited("slow down", retry_after=7.5)), seen.append)
    assert clock.slept == [7.5]
    assert isinstance(seen[0], Retrying) and seen[0].wait == 7.5


async def test_waits_grow_and_end():
    clock = FakeClock()
    with pytest.raises(ProviderUnavailable):
        await policy(clock).run(failing(*[ProviderUnavailable("down")] * 9), lambda _: None)
    assert len(clock.slept) == 3
    assert clock.slept == sorted(clock.slept)


@pytest.mark.parametrize(
    "error", [RequestRejected("no such model"), RateLimited("come back tomorrow", retry_after=86_400)]
)
async def test_what_cannot_succeed_soon_is_sent_once(error: Exception):
    clock = FakeClock()
    with pytest.raises(type(error)):
        await policy(clock).run(failing(error), lambda _: None)
    assert clock.slept == []


async def test_a_call_has_a_deadline_of_its_own():
    with pytest.raises(CallTimeout):
        async with policy(FakeClock(), retries=0, timeout=0.05).deadline():
            await asyncio.sleep(60)


async def test_no_more_calls_than_places_and_a_cancelled_one_gives_its_place_on():
    limiter, highest = Limiter(3), 0

    async def work(seconds: float) -> None:
        nonlocal highest
        async with limiter.slot():
            highest = max(highest, limiter.in_flight)
            await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(work(0.02)) for _ in range(12)]
    await asyncio.sleep(0.01)
    tasks[0].cancel()
    tasks[5].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert highest == 3
    assert limiter.in_flight == 0


async def test_the_limit_falls_when_throttled_and_rises_when_full():
    limiter = Limiter(20)
    assert limiter.limit == 10
    limiter.throttled()
    assert limiter.limit == 8
    for _ in range(200):
        limiter.succeeded()
    assert limiter.limit == 8
    async with asyncio.TaskGroup() as group:

        async def busy() -> None:
            async with limiter.slot():
                await asyncio.sleep(0.01)
                limiter.succeeded()

        for _ in range(200):
            group.create_task(busy())
    assert 8 < limiter.limit <= 20


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100), st.floats(0, 1)), max_size=60))
def test_a_budget_is_never_exceeded_whatever_the_calls_really_take(calls: list[tuple[int, int, float]]):
    budget = Budget(max_calls=30, max_tokens=3000, max_cost=0.01, price=Price(prompt=1.0, reply=8.0))
    open_calls = []
    for prompt, reply, share in calls:
        try:
            open_calls.append((budget.reserve(prompt, reply), prompt, int(reply * share)))
        except BudgetExceeded:
            continue
        if share > 0.5:
            reserved, used_prompt, used_reply = open_calls.pop(0)
            used = Reply(text="", finish="stop", model="m", prompt_tokens=used_prompt, completion_tokens=used_reply)
            budget.settle(reserved, used)
    for reserved, *_ in open_calls:
        budget.release(reserved)
    assert budget.spent.calls <= 30
    assert budget.spent.tokens <= 3000
    assert budget.spent.usd <= 0.01


def test_prices_come_from_the_user_then_from_the_table():
    assert price_for("openai:gpt-5-mini", (1.0, 2.0)) == Price(prompt=1.0, reply=2.0)
    known = price_for("openai:gpt-5-mini")
    assert known is not None and known.cost(1_000_000, 0) > 0
    assert price_for("offline") == price_for("vllm:any") == Price(prompt=0.0, reply=0.0)
    assert price_for("openai:nobody-knows-this") is None
    with pytest.raises(UsageError):
        Budget(max_cost=1.0, price=None)


def caller(model: ScriptedModel, **more: object) -> Caller:
    parts = {"limiter": Limiter(8), "budget": Budget(), "policy": policy(FakeClock())} | more
    return Caller([Route(model=model)], MemoryJournal(), **parts)  # type: ignore[arg-type]


def request(n: int) -> Request:
    return Request(messages=(Message(role="user", content=f"Question {n}"),), role="worker", max_tokens=10)


async def test_the_same_request_is_sent_once_even_side_by_side():
    calls = caller(ScriptedModel(lambda request: REPLY, window=4096))
    replies = await asyncio.gather(*(calls(request(n % 3)) for n in range(12)))
    assert calls.usage.calls == 3
    assert {reply.text for reply in replies} == {"ok"}
    replayed = calls.usage.calls_from_journal
    await calls(request(0))
    assert (calls.usage.calls, calls.usage.calls_from_journal) == (3, replayed + 1)


async def test_parallel_calls_never_exceed_the_budget():
    budget = Budget(max_calls=5)
    calls = caller(ScriptedModel(lambda request: REPLY, window=4096), budget=budget)
    results = await asyncio.gather(*(calls(request(n)) for n in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Reply) for result in results) == 5
    assert sum(isinstance(result, BudgetExceeded) for result in results) == 15
