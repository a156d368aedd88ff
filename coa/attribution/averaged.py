"""A quieter utility: v(S) averaged over coalitions that differ from S by one bystander.

A model's noise is fixed for each prompt, so that scoring a prompt twice tells nothing; scoring its neighbours does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from coa.attribution.base import Coalition, Utility

_SMALL = 0.15


class AveragedUtility:
    """Trimmed means of neighbours: one of them may hold a source without doing harm.

    Args:
        utility: Scores the neighbours.
        repeats: Neighbours of a coalition of a twentieth of all segments; smaller ones, which cost next to nothing, get
            more, larger ones fewer, down to three.
        seed: Chooses the bystanders.
    """

    def __init__(self, utility: Utility, repeats: int, seed: int) -> None:
        self._utility, self._repeats, self._seed = utility, repeats, seed

    @property
    def n(self) -> int:
        """Number of segments."""
        return self._utility.n

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        """The value of each coalition, in nats, ``repeats`` scored for one."""
        rows = [self._neighbours(coalition) for coalition in coalitions]
        values = iter(await self._utility.values([each for row in rows for each in row]))
        return [_trimmed([next(values) for _ in row]) for row in rows]

    def _neighbours(self, coalition: Coalition) -> list[Coalition]:
        """The coalition itself, and others with a bystander more (when it is small) or less (when it is large)."""
        share = len(coalition) / max(1, self.n)
        rng = random.Random(f"{self._seed}|{sorted(coalition)}")
        small = 2 * len(coalition) <= self.n
        pool = [i for i in range(self.n) if (i in coalition) != small]
        repeats = self._repeats_of(share)
        chosen = rng.sample(pool, min(repeats - 1, len(pool)))
        return [coalition, *(coalition | {i} if small else coalition - {i} for i in chosen)]

    def _repeats_of(self, share: float) -> int:
        if share <= 0.02:
            return 2 * self._repeats
        if share <= 0.05:
            return self._repeats
        if share <= _SMALL:
            return max(3, round(0.6 * self._repeats))
        return 3


def _trimmed(values: Sequence[float]) -> float:
    ordered = sorted(values)
    kept = ordered[1:-1] if len(ordered) > 2 else ordered
    return sum(kept) / len(kept)
