"""`Budget`: limits in calls, tokens and money that are reserved before a call is sent, and therefore never exceeded."""

from __future__ import annotations

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

    @property
    def limited(self) -> bool:
        """Whether there is any limit; without one, nobody needs to count a prompt beforehand."""
        return any(limit is not None for limit in (self._max_calls, self._max_tokens, self._max_cost))

    def reserve(self, prompt_tokens: int, reply_tokens: int) -> Amount:
        """Set aside the worst case of one call.

        Raises:
            BudgetExceeded: if the limits do not leave room for it.
        """
        worst = self.amount(prompt_tokens, reply_tokens)
        after = self.spent + self._reserved + worst
        if self._max_calls is not None and after.calls > self._max_calls:
            raise BudgetExceeded(f"the limit of {self._max_calls} calls is reached")
        if self._max_tokens is not None and after.tokens > self._max_tokens:
            raise BudgetExceeded(f"the next call could exceed the limit of {self._max_tokens} tokens")
        if self._max_cost is not None and after.usd > self._max_cost:
            raise BudgetExceeded(f"the next call could exceed the limit of {self._max_cost:g} USD")
        self._reserved += worst
        return worst

    def settle(self, reserved: Amount, reply: Reply) -> None:
        """Replace a reservation by what the call really took; the reservation stands where the provider did not say."""
        self._reserved -= reserved
        known = reply.prompt_tokens + reply.completion_tokens > 0
        self.spent += self.amount(reply.prompt_tokens, reply.completion_tokens) if known else reserved

    def release(self, reserved: Amount) -> None:
        """Give back the reservation of a call that failed."""
        self._reserved -= reserved

    def amount(self, prompt_tokens: int, reply_tokens: int) -> Amount:
        """One call of so many tokens."""
        usd = 0.0 if self._price is None else self._price.cost(prompt_tokens, reply_tokens)
        return Amount(calls=1, tokens=prompt_tokens + reply_tokens, usd=usd)
