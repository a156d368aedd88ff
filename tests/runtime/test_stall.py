"""A server that takes requests and answers none ends a run after two timeouts; one slow call does not."""

from __future__ import annotations

import asyncio

from coa.errors import CallTimeout, ProviderUnavailable
from coa.runtime.budget import Budget
from coa.runtime.caller import Caller, Route
from coa.runtime.journal import MemoryJournal
from coa.runtime.limiter import Limiter
from coa.runtime.retry import RetryPolicy
from coa.runtime.stall import StallWatch
from coa.serving.base import Message, Request
from coa.serving.openai import OpenAIModel
from coa.testing.clock import FakeClock
from coa.testing.fault import FAULTS
from coa.testing.faults import FaultServer

TIMEOUT = 0.25
PATIENT = 1.0
"""For a reply that does come, on a machine with much else to do."""


def request(text: str) -> Request:
    return Request(messages=(Message(role="user", content=text),), role="worker", max_tokens=20)


def caller(server: FaultServer, timeout: float = TIMEOUT) -> tuple[Caller, OpenAIModel]:
    model = OpenAIModel("test", base_url=server.base_url)
    made = Caller(
        (Route(model=model),),
        MemoryJournal(),
        limiter=Limiter(4),
        budget=Budget(),
        policy=RetryPolicy(retries=8, timeout=timeout),
    )
    return made, model


async def test_a_server_that_hangs_ends_the_run_after_two_timeouts() -> None:
    async with FaultServer(faults=[FAULTS["hang"]] * 99) as server:
        call, model = caller(server)
        replies = await asyncio.gather(*(call(request(f"{i}")) for i in range(4)), return_exceptions=True)
        await model.close()
    stalled = [reply for reply in replies if isinstance(reply, ProviderUnavailable) and "hangs" in reply.message]
    assert stalled and not stalled[0].retryable
    assert server.hits <= 8, "each call was sent twice at most, not nine times"


async def test_one_call_that_hangs_is_sent_again() -> None:
    async with FaultServer("ok", faults=[FAULTS["hang"]]) as server:
        call, model = caller(server, PATIENT)
        reply = await call(request("a"))
        await model.close()
    assert (reply.text, server.hits) == ("ok", 2)


def test_calls_that_time_out_together_are_one_round() -> None:
    clock = FakeClock()
    watch, late = StallWatch(clock), CallTimeout("late")
    first = clock.now()
    clock.advance(10)
    for _ in range(5):
        assert watch.timed_out(late, began=first, model="m") is late
    second = clock.now()
    clock.advance(10)
    assert isinstance(watch.timed_out(late, began=second, model="m"), ProviderUnavailable)


def test_an_answer_between_starts_anew() -> None:
    clock = FakeClock()
    watch, late = StallWatch(clock), CallTimeout("late")
    first = clock.now()
    clock.advance(10)
    assert watch.timed_out(late, began=first, model="m") is late
    watch.answered()
    second = clock.now()
    clock.advance(10)
    assert watch.timed_out(late, began=second, model="m") is late
