"""The one retry policy. Clients send each request once; whether to send it again is decided here and nowhere else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from coa.errors import CallTimeout, ModelError, RateLimited
from coa.events import Emit, Retrying
from coa.runtime.clock import Clock, SystemClock

T = TypeVar("T")

_FIRST_WAIT = 0.5
_LONGEST_BACKOFF = 30.0
_JITTER = 0.25
_SHARE = 0.5


class RetryAllowance:
    """How many calls of a run may be sent again, all together: half as many as were sent, and ``floor`` besides.

    A fifth of faults takes a quarter; a server at which more than every third request fails is not worth its waits.
    """

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._calls = self._again = 0

    def called(self) -> None:
        """One more call is made."""
        self._calls += 1

    def take(self) -> bool:
        """Whether one more may be sent again; if so, it counts."""
        if self._again >= self._floor + _SHARE * self._calls:
            return False
        self._again += 1
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter; a server's Retry-After is waited in full, up to ``longest_wait``.

    Attributes:
        retries: How often a failed call is sent again.
        timeout: Seconds for one attempt, whole: a server that trickles bytes does not stretch it.
        longest_wait: A server that asks for more than these seconds ends the call at once.
        allowance: What all calls of a run share, but for those that a server only asks to wait; None for no bound.
    """

    retries: int = 8
    timeout: float = 600.0
    longest_wait: float = 120.0
    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)
    allowance: RetryAllowance | None = None

    async def run(self, send: Callable[[], Awaitable[T]], emit: Emit) -> T:
        """Send until it succeeds or the policy is spent: ``1 + retries`` times at most.

        Raises:
            ModelError: the last failure, when it is not retryable, no attempt is left, or the wait would be too long.
        """
        attempt = 0
        if self.allowance is not None:
            self.allowance.called()
        while True:
            try:
                return await send()
            except ModelError as error:
                attempt += 1
                if not error.retryable or attempt > self.retries:
                    raise
                wait = self._wait(attempt, error)
                if wait > self.longest_wait:
                    raise _too_long(error, wait, self.longest_wait) from None
                if not self._allowed(error):
                    raise _too_many(error) from None
                emit(Retrying(attempt=attempt, wait=wait, reason=f"{error.code}: {error.message}"))
            await self.clock.sleep(wait)

    @asynccontextmanager
    async def deadline(self) -> AsyncGenerator[None]:
        """One attempt's time: to be held around the sending alone, not around the wait for a place.

        Raises:
            CallTimeout: the time is up.
        """
        try:
            async with asyncio.timeout(self.timeout):
                yield
        except TimeoutError:
            raise CallTimeout(f"the model did not answer within {self.timeout:g} s") from None

    def _allowed(self, error: ModelError) -> bool:
        """A server that only asks for patience works; all other failures share the allowance."""
        return self.allowance is None or isinstance(error, RateLimited) or self.allowance.take()

    def _wait(self, attempt: int, error: ModelError) -> float:
        if error.retry_after is not None:
            return max(0.0, error.retry_after)
        backoff = min(_LONGEST_BACKOFF, _FIRST_WAIT * 2.0 ** min(attempt - 1, 16))
        return backoff * (1 - _JITTER * self.rng.random())


def _too_many(error: ModelError) -> ModelError:
    """The same failure, saying that it is one of too many."""
    error.message = f"{error.message}; more than a third of the run's requests failed"
    error.args = (error.message,)
    error.hint = "Look at the server, then give the same command again: finished calls are kept."
    return error


def _too_long(error: ModelError, wait: float, longest: float) -> ModelError:
    """The same failure, saying how long the server wants to be left alone."""
    error.message = f"{error.message}; the server asks to wait {wait:g} s, and {longest:g} s is the longest wait"
    error.args = (error.message,)
    error.hint = f"Give the same command again in {wait:.0f} s: finished calls are kept."
    return error
