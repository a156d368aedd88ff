"""The one retry policy. Clients send each request once; whether to send it again is decided here and nowhere else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from coa.errors import CallTimeout, ModelError
from coa.events import Emit, Retrying
from coa.runtime.clock import Clock, SystemClock
from coa.serving.base import Reply

_FIRST_WAIT = 0.5
_LONGEST_BACKOFF = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter; a server's Retry-After is waited in full, up to ``longest_wait``.

    Attributes:
        retries: How often a failed call is sent again.
        timeout: Seconds for one attempt, whole: a server that trickles bytes does not stretch it.
        longest_wait: A server that asks for more than these seconds ends the call at once.
    """

    retries: int = 8
    timeout: float = 600.0
    longest_wait: float = 120.0
    clock: Clock = field(default_factory=SystemClock)
    rng: random.Random = field(default_factory=random.Random)

    async def run(self, send: Callable[[], Awaitable[Reply]], emit: Emit) -> Reply:
        """Send until it succeeds or the policy is spent.

        Raises:
            ModelError: the last failure, when it is not retryable or no attempt is left.
        """
        attempt = 0
        while True:
            try:
                return await self._once(send)
            except ModelError as error:
                attempt += 1
                wait = self._wait(attempt, error)
                if not error.retryable or attempt > self.retries or wait > self.longest_wait:
                    raise
                emit(Retrying(attempt=attempt, wait=wait, reason=f"{error.code}: {error.message}"))
            await self.clock.sleep(wait)

    async def _once(self, send: Callable[[], Awaitable[Reply]]) -> Reply:
        try:
            async with asyncio.timeout(self.timeout):
                return await send()
        except TimeoutError:
            raise CallTimeout(f"the model did not answer within {self.timeout:g} s") from None

    def _wait(self, attempt: int, error: ModelError) -> float:
        if error.retry_after is not None:
            return error.retry_after
        backoff = min(_LONGEST_BACKOFF, _FIRST_WAIT * 2 ** (attempt - 1))
        return backoff * (1 - 0.25 * self.rng.random())
