"""Simulated utilities: v(S) of an answer whose true sources are known, for testing searches without a model.

v(S) = -14 + gain(S) (1 - 0.03 log2(1 + |S|)) + sum of e_i over S / sqrt(1 + |S|) + noise(S), in nats. The noise is
fixed for each coalition, as a model's is: asking twice tells nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from coa.attribution.base import Coalition, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Family = Literal["single", "redundant5", "poison", "parts3", "and2", "and3", "and2x2", "none"]
FAMILIES: tuple[Family, ...] = ("single", "redundant5", "poison", "parts3", "and2", "and3", "and2x2", "none")

_SOURCES = {"single": 1, "redundant5": 5, "poison": 5, "parts3": 3, "and2": 2, "and3": 3, "and2x2": 4, "none": 0}
_CONFLICTS = 10


class SimulatedScorer:
    """A `coa.attribution.Scorer` of one answer token.

    Args:
        n: Segments.
        family: How the sources work together: one, five copies, copies with conflicts, three independent parts,
            two or three that help only together, two pairs of alternatives, or none at all.
        seed: Chooses sources, bystanders and noise.
        sigma: Standard deviation of what each bystander adds, in nats.
        tau: Standard deviation of the noise, in nats.
        among: The segments that the sources are drawn from, as when one section holds them all; default is any.

    Attributes:
        gold: The true sources.
    """

    kind: Kind = "logprobs"

    def __init__(
        self,
        n: int,
        family: Family,
        seed: int,
        *,
        sigma: float = 0.15,
        tau: float = 0.4,
        among: Sequence[int] | None = None,
    ) -> None:
        rng = random.Random(f"{family}-{n}-{seed}")
        self._order = rng.sample(among or range(n), _SOURCES[family])
        self.gold = frozenset(self._order)
        others = [i for i in range(n) if i not in self.gold]
        self._conflicts = frozenset(rng.sample(others, _CONFLICTS)) if family == "poison" else frozenset[int]()
        self._bystanders = [rng.gauss(0, sigma) for _ in range(n)]
        self._gain = self._gains()[family]
        self._tau, self._seed = tau, seed
        self.label = f"simulated {family}"

    @property
    def offsets(self) -> Sequence[int]:
        """One token."""
        return (0,)

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """The value of each coalition as an array of shape ``(1,)``."""
        import numpy as np

        return [np.array([self.value(coalition)]) for coalition in coalitions]

    def value(self, coalition: Coalition) -> float:
        """The value of one coalition, in nats."""
        size = len(coalition)
        noise = random.Random(f"{self._seed}|{sorted(coalition)}").gauss(0, self._tau)
        gain = self._gain(coalition) * (1 - 0.03 * math.log2(1 + size))
        return -14 + gain + sum(self._bystanders[i] for i in coalition) / math.sqrt(1 + size) + noise

    def _gains(self) -> dict[str, Callable[[Coalition], float]]:
        gold, order = self.gold, self._order

        def copies(shown: Coalition) -> float:
            return 8 * (1 - math.exp(-1.6 * len(gold & shown)))

        def alternatives(shown: Coalition) -> float:
            return (0.0, 0.8, 8.0)[any(i in shown for i in order[:2]) + any(i in shown for i in order[2:])]

        return {
            "single": lambda shown: 8.0 * len(gold & shown),
            "redundant5": copies,
            "poison": lambda shown: copies(shown) - 0.5 * len(self._conflicts & shown),
            "parts3": lambda shown: 4.0 * len(gold & shown),
            "and2": lambda shown: (0.0, 0.8, 8.0)[len(gold & shown)],
            "and3": lambda shown: (0.0, 0.3, 1.5, 8.0)[len(gold & shown)],
            "and2x2": alternatives,
            "none": lambda shown: 0.0,
        }
