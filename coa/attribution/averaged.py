"""A quieter utility: v(S) averaged over coalitions that differ from S by one bystander.

A model's noise is fixed for each prompt, so that scoring a prompt twice tells nothing; scoring its neighbours does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from coa.attribution.base import Coalition, Utility


class AveragedUtility:
    """Trimmed means of ``repeats`` neighbours: one of them may hold a source without doing harm."""

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
        rng = random.Random(f"{self._seed}|{sorted(coalition)}")
        small = 2 * len(coalition) <= self.n
        pool = [i for i in range(self.n) if (i in coalition) != small]
        chosen = rng.sample(pool, min(self._repeats - 1, len(pool)))
        return [coalition, *(coalition | {i} if small else coalition - {i} for i in chosen)]


def _trimmed(values: Sequence[float]) -> float:
    ordered = sorted(values)
    kept = ordered[1:-1] if len(ordered) > 2 else ordered
    return sum(kept) / len(kept)
