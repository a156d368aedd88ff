"""`Caller`: the one door of a run to its model. Journal, budget, limiter and retries meet here and nowhere else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from coa.errors import ContextOverflow, RateLimited
from coa.events import CallDone, Emit, ignore
from coa.runtime.budget import Budget
from coa.runtime.clock import Clock, SystemClock
from coa.runtime.journal import Journal, Overflow, Record, request_key
from coa.runtime.limiter import Limiter
from coa.runtime.prices import Price
from coa.runtime.retry import RetryPolicy
from coa.serving.base import Model, Reply, Request
from coa.types import Usage

_CHAT_OVERHEAD = 8


class Caller:
    """Answers a request from the journal, or sends it under all limits and writes the reply before returning it."""

    def __init__(
        self,
        model: Model,
        journal: Journal,
        *,
        limiter: Limiter,
        budget: Budget,
        policy: RetryPolicy,
        price: Price | None = None,
        emit: Emit = ignore,
        clock: Clock | None = None,
    ) -> None:
        self._model, self._journal, self._limiter, self._budget, self._policy = model, journal, limiter, budget, policy
        self._price, self._emit, self._clock = price, emit, clock or SystemClock()
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}
        self._started = self._clock.now()
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        """The total so far, calls answered from the journal counted but not paid."""
        cost = None
        if self._price is not None:
            cost = self._price.cost(self._usage.prompt_tokens, self._usage.completion_tokens)
        return replace(self._usage, cost_usd=cost, seconds=self._clock.now() - self._started)

    async def __call__(self, request: Request) -> Reply:
        """The reply to a request.

        Raises:
            ModelError: the provider failed for good.
            BudgetExceeded: the limits do not leave room for the call.
            StorageFailed: the reply could not be written.
        """
        key = request_key(self._model.name, request)
        if (record := self._journal.get(key)) is not None:
            return self._replay(record)
        if (twin := self._in_flight.get(key)) is not None:
            return await asyncio.shield(twin)
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = future
        try:
            reply = await self._send(key, request)
        except BaseException as error:
            _fail(future, error)
            raise
        else:
            future.set_result(reply)
            return reply
        finally:
            del self._in_flight[key]

    def _replay(self, record: Record) -> Reply:
        outcome = record.outcome
        if isinstance(outcome, Overflow):
            raise ContextOverflow(outcome.message, limit=outcome.limit, actual=outcome.actual)
        self._usage = replace(self._usage, calls_from_journal=self._usage.calls_from_journal + 1)
        self._emit(
            CallDone(
                role=record.role,
                from_journal=True,
                prompt_tokens=outcome.prompt_tokens,
                completion_tokens=outcome.completion_tokens,
                seconds=0.0,
            )
        )
        return outcome

    async def _send(self, key: str, request: Request) -> Reply:
        reserved = self._budget.reserve(self._worst_prompt(request), request.max_tokens)
        began = self._clock.now()
        try:
            reply = await self._policy.run(lambda: self._attempt(request), self._emit)
        except ContextOverflow as error:
            self._budget.release(reserved)
            overflow = Overflow(message=error.message, limit=error.limit, actual=error.actual)
            self._journal.put(key, _record(request, overflow, self._clock.now() - began))
            raise
        except BaseException:
            self._budget.release(reserved)
            raise
        self._budget.settle(reserved, reply)
        seconds = self._clock.now() - began
        self._journal.put(key, _record(request, reply, seconds))
        self._count(request, reply, seconds)
        return reply

    async def _attempt(self, request: Request) -> Reply:
        async with self._limiter.slot():
            try:
                reply = await self._model.complete(request)
            except RateLimited:
                self._limiter.throttled()
                raise
            self._limiter.succeeded()
            return reply

    def _worst_prompt(self, request: Request) -> int:
        if not self._budget.limited:
            return 0
        counter = self._model.counter
        counted = sum(counter.count(message.content) + _CHAT_OVERHEAD for message in request.messages)
        return int(counted * (1 + counter.margin))

    def _count(self, request: Request, reply: Reply, seconds: float) -> None:
        usage = self._usage
        self._usage = replace(
            usage,
            calls=usage.calls + 1,
            prompt_tokens=usage.prompt_tokens + reply.prompt_tokens,
            cached_tokens=usage.cached_tokens + reply.cached_tokens,
            completion_tokens=usage.completion_tokens + reply.completion_tokens,
        )
        self._emit(
            CallDone(
                role=request.role,
                from_journal=False,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                seconds=seconds,
            )
        )


def _record(request: Request, outcome: Reply | Overflow, seconds: float) -> Record:
    messages = tuple((message.role, message.content) for message in request.messages)
    return Record(role=request.role, messages=messages, outcome=outcome, seconds=round(seconds, 3))


def _fail(future: asyncio.Future[Reply], error: BaseException) -> None:
    """Pass a failure on to callers who wait for the same request; without one, nobody misses it."""
    if isinstance(error, Exception):
        future.set_exception(error)
        future.exception()
    else:
        future.cancel()
