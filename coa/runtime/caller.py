"""`Caller`: the one door of a run to its model. Journal, budget, limiter and retries meet here and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from coa.config import Settings
from coa.errors import (
    CallTimeout,
    ContextOverflow,
    InvalidReply,
    ModelError,
    RateLimited,
    RequestRejected,
    StorageFailed,
)
from coa.events import CallDone, Emit, Warned, ignore
from coa.runtime.budget import Amount, Budget
from coa.runtime.clock import Clock, SystemClock
from coa.runtime.drain import ended
from coa.runtime.journal import Journal, Overflow, Record, request_key
from coa.runtime.limiter import Limiter
from coa.runtime.prices import Price, dearest, price_for
from coa.runtime.retry import RetryAllowance, RetryPolicy
from coa.runtime.speaking import Speaker
from coa.runtime.stall import StallWatch
from coa.serving.base import Model, Reply, Request, prompt_tokens
from coa.types import Usage

_Keep = Callable[["Route", Reply], None]

_PATIENCE = 1.5
"""Seconds that a stopped run waits for calls in flight, so that it is over within two."""
_MAY_BE_BILLED = (CallTimeout, InvalidReply)
"""Failures after which the provider may have done its work all the same: their reservation counts as spent."""
_NO_OTHER_MODEL_HELPS = (ContextOverflow, InvalidReply, RequestRejected)
"""Failures of the request or of the reply: whoever asked deals with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A model and what it costs."""

    model: Model
    price: Price | None = None


class Caller:
    """Answers a request from the journal, or sends it under all limits and writes the reply before returning it.

    ``routes`` are tried in turn: when one has failed for good, the next takes over, for this call and all that follow.
    The journal knows a call by the first route's model, so that a resumed run finds it whoever answered.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        journal: Journal,
        *,
        limiter: Limiter,
        budget: Budget,
        policy: RetryPolicy,
        emit: Emit = ignore,
        clock: Clock | None = None,
        stream: bool = False,
    ) -> None:
        self._routes, self._current = tuple(routes), 0
        self._journal, self._limiter, self._budget, self._policy = journal, limiter, budget, policy
        self._emit, self._clock = emit, clock or SystemClock()
        self._speaker = Speaker(emit, on=stream)
        self._stall = StallWatch(self._clock)
        self._in_flight: dict[str, asyncio.Future[None]] = {}
        self._started = self._clock.now()
        self._usage = Usage(cost_usd=None if any(route.price is None for route in routes) else 0.0)
        self._warnings: list[str] = []

    @property
    def warnings(self) -> tuple[str, ...]:
        """Which model took over from which, and why."""
        return tuple(self._warnings)

    @property
    def usage(self) -> Usage:
        """The total so far, calls answered from the journal counted but not paid."""
        return replace(self._usage, seconds=self._clock.now() - self._started)

    async def __call__(self, request: Request) -> Reply:
        """The reply to a request.

        Raises:
            ModelError: the provider failed for good.
            ContextOverflow: the prompt is longer than the server takes.
            BudgetExceeded: the limits do not leave room for the call.
            StorageFailed: the reply could not be written.
        """
        key = request_key(self._routes[0].model.name, request)
        while True:
            if (record := self._journal.get(key)) is not None:
                return self._replay(record)
            if (twin := self._in_flight.get(key)) is None:
                return await self._first(key, request)
            await asyncio.wait({twin})
            if not twin.cancelled() and (error := twin.exception()) is not None:
                raise error

    async def _first(self, key: str, request: Request) -> Reply:
        """Send; whoever asks the same meanwhile waits, and finds the reply in the journal or takes this one's place."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._in_flight[key] = done
        try:
            reply = await self._send(key, request)
        except Exception as error:
            done.set_exception(error)
            done.exception()  # Marked as seen: nobody has to wait for it.
            raise
        except BaseException:
            done.cancel()
            raise
        else:
            done.set_result(None)
            return reply
        finally:
            del self._in_flight[key]

    def _replay(self, record: Record) -> Reply:
        outcome = record.outcome
        if isinstance(outcome, Overflow):
            raise ContextOverflow(outcome.message, limit=outcome.limit, actual=outcome.actual)
        self._usage = replace(
            self._usage,
            calls_from_journal=self._usage.calls_from_journal + 1,
            context_tokens=self._usage.context_tokens + outcome.prompt_tokens,
        )
        self._speaker.replayed(record.role, outcome)
        self._tell(record.role, outcome, 0.0, from_journal=True)
        return outcome

    async def _send(self, key: str, request: Request) -> Reply:
        began = self._clock.now()
        keep = partial(self._keep, key, request, began)
        try:
            route, reply = await self._routed(request, keep)
        except ContextOverflow as error:
            overflow = Overflow(message=error.message, limit=error.limit, actual=error.actual)
            self._journal.put(key, _record(request, overflow, self._clock.now() - began))
            raise
        keep(route, reply)
        return reply

    def _keep(self, key: str, request: Request, began: float, route: Route, reply: Reply) -> None:
        seconds = self._clock.now() - began
        self._journal.put(key, _record(request, reply, seconds))
        self._count(reply, route.price)
        self._tell(request.role, reply, seconds, from_journal=False)

    async def _routed(self, request: Request, keep: _Keep) -> tuple[Route, Reply]:
        while True:
            current = self._current
            route = self._routes[current]
            try:
                return route, await self._policy.run(partial(self._attempt, route, request, keep), self._emit)
            except ModelError as error:
                if isinstance(error, _NO_OTHER_MODEL_HELPS) or current + 1 == len(self._routes):
                    raise
                if self._current == current:
                    self._move_on(route, error)

    def _move_on(self, route: Route, error: ModelError) -> None:
        self._current += 1
        warning = f"{route.model.name} failed ({error.message}); {self._routes[self._current].model.name} took over"
        self._warnings.append(warning)
        self._emit(Warned(message=warning))

    async def _attempt(self, route: Route, request: Request, keep: _Keep) -> Reply:
        async with self._limiter.slot():
            began = self._clock.now()
            reserved = await self._budget.claim(self._worst_prompt(route.model, request), request.max_tokens)
            sending = asyncio.create_task(self._sent(route.model, request))
            try:
                await ended(sending, _PATIENCE)
                reply = sending.result()
            except CallTimeout as error:
                self._failed(error, reserved)
                raise self._stall.timed_out(error, began=began, model=route.model.name) from error
            except ModelError as error:
                self._stall.answered()
                self._failed(error, reserved)
                raise
            except BaseException:
                self._stopped(sending, reserved, partial(keep, route))
                raise
            self._budget.settle(reserved, reply)
            self._stall.answered()
            self._limiter.succeeded()
            return reply

    async def _sent(self, model: Model, request: Request) -> Reply:
        async with self._policy.deadline():
            return await self._speaker.complete(model, request)

    def _stopped(self, sending: asyncio.Task[Reply], reserved: Amount, keep: Callable[[Reply], None]) -> None:
        """The run is ending. A reply that still came is kept; of any other call nobody knows what it cost."""
        if not sending.done() or sending.cancelled() or sending.exception() is not None:
            self._budget.settle(reserved)
            return
        self._budget.settle(reserved, sending.result())
        with suppress(StorageFailed):  # It is asked for again; what ends the run is told, not this.
            keep(sending.result())

    def _failed(self, error: ModelError, reserved: Amount) -> None:
        if isinstance(error, RateLimited):
            self._limiter.throttled()
        if isinstance(error, _MAY_BE_BILLED):
            self._budget.settle(reserved)
        else:
            self._budget.release(reserved)

    def _worst_prompt(self, model: Model, request: Request) -> int:
        if not self._budget.limited:
            return 0
        return int(prompt_tokens(request.messages, model.counter) * (1 + model.counter.margin))

    def _count(self, reply: Reply, price: Price | None) -> None:
        usage = self._usage
        cost = usage.cost_usd
        if price is not None:
            paid = price.at(reply.prompt_tokens).cost(reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)
            cost = (cost or 0.0) + paid
        self._usage = replace(
            usage,
            calls=usage.calls + 1,
            prompt_tokens=usage.prompt_tokens + reply.prompt_tokens,
            cached_tokens=usage.cached_tokens + reply.cached_tokens,
            completion_tokens=usage.completion_tokens + reply.completion_tokens,
            cost_usd=cost,
            context_tokens=usage.context_tokens + reply.prompt_tokens,
        )

    def _tell(self, role: str, reply: Reply, seconds: float, *, from_journal: bool) -> None:
        self._emit(
            CallDone(
                role=role,
                from_journal=from_journal,
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                seconds=seconds,
            )
        )


def _record(request: Request, outcome: Reply | Overflow, seconds: float) -> Record:
    messages = tuple((message.role, message.content) for message in request.messages)
    return Record(role=request.role, messages=messages, outcome=outcome, seconds=round(seconds, 3))


def caller_for(
    models: Sequence[Model], settings: Settings, journal: Journal, emit: Emit = ignore, limiter: Limiter | None = None
) -> Caller:
    """A caller with the limits of the settings; the models after the first take over when it fails.

    A ``limiter`` that several runs share takes the place of ``settings.concurrency``.
    """
    routes = tuple(Route(model=model, price=price_for(model.name, settings.prices)) for model in models)
    return Caller(
        routes,
        journal,
        limiter=limiter or Limiter(settings.concurrency),
        budget=Budget(
            max_calls=settings.max_calls,
            max_tokens=settings.max_tokens,
            max_cost=settings.max_cost,
            price=dearest([route.price for route in routes]),
        ),
        policy=RetryPolicy(
            retries=settings.retries,
            timeout=settings.timeout,
            allowance=RetryAllowance(settings.retries * settings.concurrency),
        ),
        emit=emit,
        stream=settings.stream,
    )
