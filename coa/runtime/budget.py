"""`Budget`: limits in calls, tokens and money that are reserved before a call is sent, and therefore never exceeded."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from coa.errors import BudgetExceeded, UsageError
from coa.runtime.prices import Price
from coa.serving.base import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Calls, tokens and US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(calls=self.calls + other.calls, tokens=self.tokens + other.tokens, usd=self.usd + other.usd)

    def __sub__(self, other: Amount) -> Amount:
        return Amount(calls=self.calls - other.calls, tokens=self.tokens - other.tokens, usd=self.usd - other.usd)


class Budget:
    """What may be spent, what is spent, and what the calls in flight may still spend.

    Calls answered from a journal never come here: they are free.

    Raises:
        UsageError: a limit in money for a model whose price is not known.
    """

    def __init__(
        self,
        *,
        max_calls: int | None = None,
        max_tokens: int | None = None,
        max_cost: float | None = None,
        price: Price | None = None,
        spent: Amount | None = None,
    ) -> None:
        if max_cost is not None and price is None:
            raise UsageError(
                "--max-cost needs a price, and none is known for this model",
                hint="Give --prices PROMPT,REPLY in US dollars per million tokens.",
            )
        self._max_calls, self._max_tokens, self._max_cost, self._price = max_calls, max_tokens, max_cost, price
        self.spent = spent or Amount()
        self._reserved = Amount()
        self._freed = asyncio.Event()

    @property
    def reserved(self) -> Amount:
        """What the calls in flight may still spend."""
        return self._reserved if self._reserved.calls else Amount()

    @property
    def limited(self) -> bool:
        """Whether there is any limit; without one, nobody needs to count a prompt beforehand."""
        return any(limit is not None for limit in (self._max_calls, self._max_tokens, self._max_cost))

    def reserve(self, prompt_tokens: int, reply_tokens: int) -> Amount:
        """Set aside the worst case of one call.

        Raises:
            BudgetExceeded: if the limits do not leave room for it now.
        """
        worst = self.amount(prompt_tokens, reply_tokens)
        if reason := self._refusal(self.spent + self.reserved + worst):
            raise BudgetExceeded(reason)
        self._reserved = self.reserved + worst
        return worst

    async def claim(self, prompt_tokens: int, reply_tokens: int) -> Amount:
        """`reserve`, but wait while calls in flight may still give back what is missing.

        Raises:
            BudgetExceeded: if there is no room even after they have.
        """
        while True:
            try:
                return self.reserve(prompt_tokens, reply_tokens)
            except BudgetExceeded:
                alone = self.spent + self.amount(prompt_tokens, reply_tokens)
                if not self.reserved.calls or self._refusal(alone):
                    raise
            await self._freed.wait()

    def settle(self, reserved: Amount, reply: Reply | None = None) -> None:
        """Replace a reservation by what the call took; the reservation stands where nobody said what that was."""
        known = reply is not None and reply.prompt_tokens + reply.completion_tokens > 0
        self.spent += self._actual(reply) if known and reply is not None else reserved
        self.release(reserved)

    def release(self, reserved: Amount) -> None:
        """Give back the reservation of a call that cost nothing."""
        self._reserved -= reserved
        self._freed.set()
        self._freed = asyncio.Event()

    def amount(self, prompt_tokens: int, reply_tokens: int, cached_tokens: int = 0) -> Amount:
        """One call of so many tokens."""
        usd = (
            0.0
            if self._price is None
            else self._price.at(prompt_tokens).cost(prompt_tokens, reply_tokens, cached_tokens)
        )
        return Amount(calls=1, tokens=prompt_tokens + reply_tokens, usd=usd)

    def _actual(self, reply: Reply) -> Amount:
        return self.amount(reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)

    def _refusal(self, after: Amount) -> str | None:
        if self._max_calls is not None and after.calls > self._max_calls:
            return f"the limit of {self._max_calls} calls is reached"
        if self._max_tokens is not None and after.tokens > self._max_tokens:
            return f"the next call could exceed the limit of {self._max_tokens} tokens"
        if self._max_cost is not None and after.usd > self._max_cost:
            return f"the next call could exceed the limit of {self._max_cost:g} USD"
        return None
