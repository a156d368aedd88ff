"""The account of a trace: what was scored is never scored again, what is scored goes in an order that caches like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coa.attribution.base import BudgetSpent, Coalition, Scorer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


class Ledger:
    """Memoises a scorer over coalitions, orders each batch as a trie, and keeps to a budget.

    Args:
        scorer: Asked once for each coalition.
        sizes: Tokens of each segment.
        overhead: Tokens of the prompt around the segments, answer included.
        max_calls: Coalitions that may be scored, at most.
        max_equivalents: Full-context prompts whose tokens may be spent, at most.
    """

    def __init__(
        self,
        scorer: Scorer,
        sizes: Sequence[int],
        *,
        overhead: int = 0,
        max_calls: int | None = None,
        max_equivalents: float | None = None,
    ) -> None:
        self._scorer = scorer
        self._sizes = sizes
        self._overhead = overhead
        self._max_calls = max_calls
        self._max_equivalents = max_equivalents
        self._known: dict[Coalition, NDArray[np.float64]] = {}
        self._asked = self._calls = self._tokens = self._rounds = 0

    @property
    def n(self) -> int:
        """Number of segments."""
        return len(self._sizes)

    def allow(self, equivalents: float | None) -> None:
        """Set how many full-context prompts may have been spent in all, from here on."""
        self._max_equivalents = equivalents

    @property
    def usage(self) -> TraceUsage:
        """What was consumed so far."""
        return TraceUsage(
            asked=self._asked,
            calls=self._calls,
            tokens=self._tokens,
            equivalents=self._tokens / self._whole,
            rounds=self._rounds,
        )

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """The answer's log-probabilities under each coalition, in the order given.

        Raises:
            BudgetSpent: what is new among them does not fit in the budget; nothing was scored.
        """
        self._asked += len(coalitions)
        new = trie_order([each for each in dict.fromkeys(coalitions) if each not in self._known])
        if new:
            self._claim(new)
            for coalition, row in zip(new, await self._scorer.logprobs(new), strict=True):
                self._known[coalition] = row
        return [self._known[coalition] for coalition in coalitions]

    @property
    def _whole(self) -> int:
        return max(1, sum(self._sizes) + self._overhead)

    def _claim(self, new: Sequence[Coalition]) -> None:
        tokens = sum(self._overhead + sum(self._sizes[i] for i in coalition) for coalition in new)
        if self._max_calls is not None and self._calls + len(new) > self._max_calls:
            raise BudgetSpent
        if self._max_equivalents is not None and self._tokens + tokens > self._max_equivalents * self._whole:
            raise BudgetSpent
        self._calls += len(new)
        self._tokens += tokens
        self._rounds += 1


class ClaimUtility:
    """v(S) of one claim: the sum of some of the answer's columns, so that all claims share every call."""

    def __init__(self, ledger: Ledger, columns: slice | None = None) -> None:
        self._ledger = ledger
        self._columns = columns or slice(None)

    @property
    def n(self) -> int:
        """Number of segments."""
        return self._ledger.n

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        """The value of each coalition, in nats."""
        return [float(row[self._columns].sum()) for row in await self._ledger.logprobs(coalitions)]


def trie_order(coalitions: Sequence[Coalition]) -> list[Coalition]:
    """Prompts with long common beginnings next to each other, for a server's prefix cache."""
    return sorted(coalitions, key=sorted)
