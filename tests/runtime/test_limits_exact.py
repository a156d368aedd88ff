"""The figures of budgets, places and waits, to the unit: what the documentation says is what happens."""

from __future__ import annotations

import asyncio
import random

import pytest

from coa.errors import BudgetExceeded, CallTimeout, ModelError, ProviderUnavailable, RateLimited
from coa.events import Event, Retrying
from coa.runtime.budget import Amount, Budget
from coa.runtime.limiter import Limiter
from coa.runtime.prices import Price
from coa.runtime.retry import RetryAllowance, RetryPolicy
from coa.runtime.stall import StallWatch
from coa.serving.base import Reply


class Clock:
    def __init__(self) -> None:
        self.time, self.slept = 0.0, list[float]()

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


def reply(prompt: int, completion: int, cached: int = 0) -> Reply:
    return Reply(
        text="ok", finish="stop", model="m", prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached
    )


PRICE = Price(prompt=2.0, reply=10.0, cached=1.0)


# Budgets


def test_amounts_add_up_and_are_nothing_by_themselves():
    assert Amount() == Amount(calls=0, tokens=0, usd=0.0)
    one, other = Amount(calls=3, tokens=70, usd=0.5), Amount(calls=1, tokens=20, usd=0.25)
    assert one + other == Amount(calls=4, tokens=90, usd=0.75)
    assert one - other == Amount(calls=2, tokens=50, usd=0.25)


def test_only_a_limit_makes_a_budget_limited():
    assert not Budget().limited and not Budget(price=PRICE).limited
    assert Budget(max_calls=0).limited and Budget(max_tokens=0).limited
    assert Budget(max_cost=0.0, price=PRICE).limited


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"max_calls": 3}, "3 calls"),
        ({"max_tokens": 330}, "330 tokens"),
        ({"max_cost": 3 * (100 * 2 + 10 * 10) / 1e6}, "USD"),
    ],
)
def test_a_limit_may_be_reached_and_not_be_passed(limits: dict[str, float], says: str):
    budget = Budget(price=PRICE, **limits)  # type: ignore[arg-type]
    for _ in range(3):
        budget.reserve(100, 10)
    with pytest.raises(BudgetExceeded, match=says):
        budget.reserve(100, 10)
    assert budget.reserved.calls == 3 and budget.reserved.tokens == 330
    assert budget.reserved.usd == pytest.approx(3 * 300 / 1e6)
    assert budget.spent == Amount()


def test_what_was_spent_before_counts():
    budget = Budget(max_calls=3, spent=Amount(calls=2))
    budget.reserve(1, 1)
    with pytest.raises(BudgetExceeded):
        budget.reserve(1, 1)


def test_a_settled_call_costs_what_it_took_and_a_released_one_nothing():
    budget = Budget(max_tokens=1000, price=PRICE)
    reserved = budget.reserve(500, 100)
    assert reserved == Amount(calls=1, tokens=600, usd=(500 * 2 + 100 * 10) / 1e6)
    budget.settle(reserved, reply(400, 50, cached=300))
    assert (budget.spent.calls, budget.spent.tokens) == (1, 450)
    assert budget.spent.usd == pytest.approx((100 * 2 + 300 * 1 + 50 * 10) / 1e6)
    assert budget.reserved == Amount()
    budget.release(budget.reserve(300, 100))
    assert budget.spent.tokens == 450 and budget.reserved == Amount()


@pytest.mark.parametrize("said", [None, reply(0, 0)])
def test_the_reservation_stands_where_nobody_says_what_a_call_took(said: Reply | None):
    budget = Budget(price=PRICE)
    reserved = budget.reserve(500, 100)
    budget.settle(reserved, said)
    assert budget.spent == reserved


@pytest.mark.parametrize("used", [(1, 0), (0, 1)])
def test_a_single_token_is_an_account(used: tuple[int, int]):
    budget = Budget()
    budget.settle(budget.reserve(500, 100), reply(*used))
    assert budget.spent.tokens == 1


async def test_who_finds_no_room_waits_for_calls_that_may_give_some_back():
    budget = Budget(max_tokens=1000)
    first, second = budget.reserve(400, 100), budget.reserve(200, 100)
    waiting = asyncio.create_task(budget.claim(500, 0))
    await asyncio.sleep(0)
    budget.settle(second, reply(200, 100))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.settle(first, reply(150, 50))
    assert (await waiting).tokens == 500
    assert budget.spent.tokens + budget.reserved.tokens == 1000


async def test_who_would_find_no_room_even_then_does_not_wait():
    budget = Budget(max_tokens=1000)
    budget.reserve(400, 100)
    with pytest.raises(BudgetExceeded):
        await budget.claim(900, 101)
    alone = Budget(max_calls=1, spent=Amount(calls=1))
    with pytest.raises(BudgetExceeded):
        await alone.claim(1, 1)


# Places


async def full(limiter: Limiter, successes: int) -> None:
    """So many calls, the limit in flight at any time, all of them good."""
    for _ in range(successes):
        slots = [limiter.slot() for _ in range(limiter.limit - limiter.in_flight)]
        for slot in slots:
            await slot.__aenter__()
        limiter.succeeded()
        for slot in slots:
            await slot.__aexit__(None, None, None)


async def test_a_start_is_slow_and_grows_by_one_a_success_up_to_the_most():
    assert [Limiter(most).limit for most in (1, 9, 10, 11, 500)] == [1, 9, 10, 10, 10]
    limiter = Limiter(13)
    seen: list[int] = []
    for _ in range(5):
        await full(limiter, 1)
        seen.append(limiter.limit)
    assert seen == [11, 12, 13, 13, 13]


async def test_a_success_beside_a_free_place_raises_nothing():
    limiter = Limiter(20)
    async with limiter.slot():
        limiter.succeeded()
    assert limiter.limit == 10


async def test_refusals_of_one_moment_count_once_and_a_second_later_again():
    clock = Clock()
    limiter = Limiter(100, clock=clock)
    for _ in range(9):
        limiter.throttled()
    assert limiter.limit == 8
    clock.time = 0.99
    limiter.throttled()
    assert limiter.limit == 8
    clock.time = 1.0
    limiter.throttled()
    assert limiter.limit == 6
    for second in range(2, 40):
        clock.time = float(second)
        limiter.throttled()
    assert limiter.limit == 1


async def test_after_a_refusal_it_grows_by_one_a_round_to_what_was_borne_and_slowly_beyond():
    limiter = Limiter(100, clock=Clock())
    slots = [limiter.slot() for _ in range(10)]
    for slot in slots:
        await slot.__aenter__()
    limiter.throttled()  # ten were in flight: nine were borne
    for slot in slots:
        await slot.__aexit__(None, None, None)
    assert limiter.limit == 8
    await full(limiter, 7)
    assert limiter.limit == 8
    await full(limiter, 2)
    assert limiter.limit == 9
    await full(limiter, 85)
    assert limiter.limit == 9
    await full(limiter, 15)
    assert limiter.limit == 10


async def test_places_go_to_who_came_first():
    limiter, order = Limiter(1), list[int]()

    async def work(n: int) -> None:
        async with limiter.slot():
            order.append(n)
            await asyncio.sleep(0)

    await asyncio.gather(*(work(n) for n in range(6)))
    assert order == list(range(6)) and limiter.in_flight == 0


async def test_a_newcomer_does_not_pass_who_waits():
    limiter, order = Limiter(1), list[str]()
    first = limiter.slot()
    await first.__aenter__()

    async def work(name: str) -> None:
        async with limiter.slot():
            order.append(name)

    waiting = asyncio.create_task(work("waits"))
    await asyncio.sleep(0)
    await first.__aexit__(None, None, None)
    await asyncio.gather(waiting, work("comes"))
    assert order == ["waits", "comes"]


async def test_a_place_handed_to_one_who_is_cancelled_at_that_moment_goes_on():
    limiter = Limiter(1)
    first = limiter.slot()
    await first.__aenter__()

    async def work() -> str:
        async with limiter.slot():
            return "done"

    one, two = asyncio.create_task(work()), asyncio.create_task(work())
    await asyncio.sleep(0)
    await first.__aexit__(None, None, None)  # hands the place to the first of them
    one.cancel()
    assert await asyncio.wait_for(two, 5) == "done"
    assert one.cancelled() and limiter.in_flight == 0


# Waits


def policy(clock: Clock, retries: int = 3, rng: random.Random | None = None, **more: float) -> RetryPolicy:
    return RetryPolicy(retries=retries, clock=clock, rng=rng or random.Random(1), **more)  # type: ignore[arg-type]


class Dice(random.Random):
    """Says the same each time."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def random(self) -> float:
        return self.value


async def tried(policy: RetryPolicy, *errors: ModelError) -> tuple[int, list[Event], ModelError | None]:
    left, calls, seen = list(errors), 0, list[Event]()

    async def send() -> Reply:
        nonlocal calls
        calls += 1
        if left:
            raise left.pop(0)
        return reply(1, 1)

    try:
        await policy.run(send, seen.append)
    except ModelError as error:
        return calls, seen, error
    return calls, seen, None


@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_call_is_sent_once_and_as_often_again_as_is_allowed(retries: int):
    calls, seen, error = await tried(policy(Clock(), retries), *[ProviderUnavailable("down") for _ in range(9)])
    assert calls == 1 + retries and isinstance(error, ProviderUnavailable)
    assert [event.attempt for event in seen if isinstance(event, Retrying)] == list(range(1, retries + 1))
    calls, _, error = await tried(policy(Clock(), retries), *[ProviderUnavailable("down") for _ in range(retries)])
    assert calls == 1 + retries and error is None


@pytest.mark.parametrize(("dice", "share"), [(0.0, 1.0), (1.0, 0.75), (0.5, 0.875)])
async def test_waits_double_from_half_a_second_to_thirty_less_a_quarter_at_most(dice: float, share: float):
    clock = Clock()
    _, seen, _ = await tried(policy(clock, 9, Dice(dice)), *[ProviderUnavailable("down") for _ in range(9)])
    assert clock.slept == pytest.approx([share * wait for wait in (0.5, 1, 2, 4, 8, 16, 30, 30, 30)])
    assert [event.wait for event in seen if isinstance(event, Retrying)] == clock.slept
    assert all(event.reason == "ProviderUnavailable: down" for event in seen if isinstance(event, Retrying))


async def test_a_hundred_retries_still_wait_no_longer_than_thirty_seconds():
    clock = Clock()
    await tried(policy(clock, 100, Dice(0.0)), *[ProviderUnavailable("down") for _ in range(100)])
    assert max(clock.slept) == 30 and len(clock.slept) == 100


@pytest.mark.parametrize(("asked", "waited"), [(-5.0, [0.0]), (0.0, [0.0]), (0.2, [0.2]), (120.0, [120.0])])
async def test_what_the_server_asks_for_is_waited_up_to_the_longest_wait(asked: float, waited: list[float]):
    clock = Clock()
    calls, _, error = await tried(policy(clock), RateLimited("busy", retry_after=asked))
    assert (calls, error, clock.slept) == (2, None, waited)


async def test_a_server_that_asks_for_more_ends_the_call_and_the_message_says_how_long():
    clock = Clock()
    calls, seen, error = await tried(policy(clock), RateLimited("busy", retry_after=120.5))
    assert (calls, seen, clock.slept) == (1, [], [])
    assert error is not None and "120.5 s" in error.message and "120 s is the longest" in error.message
    assert str(error) == error.message and "in 120 s" in error.hint


async def test_the_defaults_are_those_of_the_documentation():
    made = RetryPolicy()
    assert (made.retries, made.timeout, made.longest_wait) == (8, 600.0, 120.0)


def test_half_as_many_as_were_sent_and_the_floor_may_be_sent_again():
    allowance = RetryAllowance(2)
    assert [allowance.take() for _ in range(3)] == [True, True, False]
    for _ in range(4):
        allowance.called()
    assert [allowance.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(("faults", "finishes"), [(0.2, True), (0.3, True), (0.6, False)])
async def test_thousands_of_calls_finish_at_a_fifth_of_faults_and_not_at_a_server_that_is_broken(
    faults: float, finishes: bool
):
    rng, sent = random.Random(3), 0
    made = RetryPolicy(retries=8, clock=Clock(), rng=rng, allowance=RetryAllowance(64))

    async def send() -> Reply:
        nonlocal sent
        sent += 1
        if rng.random() < faults:
            raise ProviderUnavailable("down")
        return reply(1, 1)

    done = 0
    try:
        for _ in range(5000):
            await made.run(send, lambda _: None)
            done += 1
    except ProviderUnavailable as error:
        assert "a third" in error.message and "same command" in error.hint
    assert (done == 5000) is finishes
    assert sent <= 1.5 * (done + 1) + 65


async def test_a_server_that_asks_for_patience_takes_nothing_from_what_all_share():
    allowance = RetryAllowance(0)
    made = RetryPolicy(retries=8, clock=Clock(), rng=random.Random(1), allowance=allowance)
    calls, _, error = await tried(made, *[RateLimited("busy", retry_after=1.0) for _ in range(8)])
    assert (calls, error) == (9, None)


# Servers that hang


def test_two_rounds_without_any_answer_are_a_server_that_hangs():
    clock = Clock()
    watch = StallWatch(clock)

    def late(began: float) -> ModelError:
        clock.time += 1
        return watch.timed_out(CallTimeout("late"), began=began, model="m")

    assert isinstance(late(0.0), CallTimeout)  # at 1
    assert isinstance(late(0.5), CallTimeout)  # began in the same round
    stalled = late(1.0)  # began when the first round had ended
    assert isinstance(stalled, ProviderUnavailable) and not stalled.retryable
    assert "m answered nothing" in stalled.message and "2 whole timeouts" in stalled.message and stalled.hint
    watch.answered()
    assert isinstance(late(clock.time), CallTimeout)
    assert isinstance(late(clock.time), ProviderUnavailable)
