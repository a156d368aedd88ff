"""The account of a trace: what was scored is never scored again, what is scored goes in an order that caches like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coa.attribution.base import Batch, BudgetSpent, Coalition, Scorer, Shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NAMED = 3
"""Coalitions of a round that are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceUsage:
    """What a trace consumed.

    Attributes:
        asked: Values that the searches asked for; ``calls`` of them were scored, the others were known.
        tokens: Tokens of the segments shown, over all calls.
        equivalents: ``tokens`` in prompts that hold the whole context.
        rounds: Batches sent one after the other.
    """

    asked: int = 0
    calls: int = 0
    tokens: int = 0
    equivalents: float = 0.0
    rounds: int = 0


class Purse:
    """What may be spent and what was: one for a whole trace, however many prompts it takes apart.

    Args:
        max_calls: Coalitions that may be scored, at most.
        max_tokens: Tokens that they may hold, at most.
    """

    def __init__(self, *, max_calls: int | None = None, max_tokens: float | None = None) -> None:
        self.max_calls, self.max_tokens = max_calls, max_tokens
        self.asked = self.calls = self.tokens = self.rounds = 0

    def pay(self, calls: int, tokens: int) -> None:
        """Count one batch.

        Raises:
            BudgetSpent: it does not fit in what is left; nothing was counted.
        """
        if not self.holds(calls, tokens):
            raise BudgetSpent
        self.calls += calls
        self.tokens += tokens
        self.rounds += 1

    def holds(self, calls: int, tokens: int) -> bool:
        """Whether so much is left."""
        enough = self.max_calls is None or self.calls + calls <= self.max_calls
        return enough and (self.max_tokens is None or self.tokens + tokens <= self.max_tokens)

    def usage(self, whole: int) -> TraceUsage:
        """The account, in prompts of ``whole`` tokens."""
        return TraceUsage(
            asked=self.asked,
            calls=self.calls,
            tokens=self.tokens,
            equivalents=self.tokens / max(1, whole),
            rounds=self.rounds,
        )


class Ledger:
    """Memoises a scorer over coalitions, orders each batch as a trie, and keeps to a budget.

    Args:
        scorer: Asked once for each coalition.
        sizes: Tokens of each segment.
        overhead: Tokens of the prompt around the segments, answer included.
        max_calls: Coalitions that may be scored, at most.
        max_equivalents: Full-context prompts whose tokens may be spent, at most.
        purse: Pays instead of a purse of its own with these limits.
    """

    def __init__(
        self,
        scorer: Scorer,
        sizes: Sequence[int],
        *,
        overhead: int = 0,
        max_calls: int | None = None,
        max_equivalents: float | None = None,
        purse: Purse | None = None,
    ) -> None:
        self._scorer = scorer
        self._sizes = sizes
        self._overhead = overhead
        self._purse = purse or Purse(max_calls=max_calls)
        self._known: dict[Coalition, NDArray[np.float64]] = {}
        if max_equivalents is not None:
            self.allow(max_equivalents)

    @property
    def n(self) -> int:
        """Number of segments."""
        return len(self._sizes)

    @property
    def whole(self) -> int:
        """Tokens of the prompt that holds all segments."""
        return max(1, sum(self._sizes) + self._overhead)

    def allow(self, equivalents: float | None) -> None:
        """Set how many full-context prompts may have been spent in all, from here on."""
        self._purse.max_tokens = None if equivalents is None else equivalents * self.whole

    @property
    def usage(self) -> TraceUsage:
        """What was consumed so far, in prompts that hold all segments."""
        return self._purse.usage(self.whole)

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """The answer's log-probabilities under each coalition, in the order given.

        Raises:
            BudgetSpent: what is new among them does not fit in the budget; nothing was scored.
        """
        self._purse.asked += len(coalitions)
        new = trie_order([each for each in dict.fromkeys(coalitions) if each not in self._known])
        if new:
            self._purse.pay(len(new), sum(self._tokens(coalition) for coalition in new))
            for coalition, row in zip(new, await self._scorer.logprobs(new), strict=True):
                self._known[coalition] = row
        return [self._known[coalition] for coalition in coalitions]

    def _tokens(self, coalition: Coalition) -> int:
        return self._overhead + sum(self._sizes[i] for i in coalition)


class ClaimUtility:
    """v(S) of one claim: the sum of some of the answer's columns, so that all claims share every call."""

    def __init__(self, ledger: Ledger, columns: slice | None = None) -> None:
        self._ledger = ledger
        self._columns = columns or slice(None)
        self.batches: list[Batch] = []

    @property
    def n(self) -> int:
        """Number of segments."""
        return self._ledger.n

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        """The value of each coalition, in nats."""
        values = [float(row[self._columns].sum()) for row in await self._ledger.logprobs(coalitions)]
        if values:
            self.batches.append(_batch(coalitions, values))
        return values


def _batch(coalitions: Sequence[Coalition], values: Sequence[float]) -> Batch:
    sizes = [len(coalition) for coalition in coalitions]
    best = sorted(range(len(values)), key=lambda j: -values[j])[:_NAMED]
    shown = tuple(Shown(segments=_ranges(coalitions[j]), value=values[j]) for j in best)
    return Batch(asked=len(values), least=min(sizes), most=max(sizes), low=min(values), high=max(values), best=shown)


def _ranges(coalition: Coalition) -> tuple[tuple[int, int], ...]:
    """Consecutive numbers as (first, last)."""
    found: list[tuple[int, int]] = []
    for number in sorted(coalition):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def trie_order(coalitions: Sequence[Coalition]) -> list[Coalition]:
    """Prompts with long common beginnings next to each other, for a server's prefix cache."""
    return sorted(coalitions, key=sorted)
