"""Which few groups help only together: how likely each rule of a few shapes is, given rows of values.

A linear effect sees one text of three that are needed as a small part of the gain, drowned by noise. The rule "all
three are shown" sees the whole gain. All rules of a few shapes are fitted to the same rows; how likely each is follows
from what it leaves unexplained (Bayes' rule; all shapes alike beforehand, and all rules of a shape).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rule = tuple[tuple[int, ...], ...]
"""Clauses; one holds when one of its groups is shown."""

_MOST_TOGETHER = 4
_BELIEF = 4.0
"""How many rows the noise that was measured counts for."""
_LEAST_NOISE = 0.05
_MOST_RULES = 20_000
"""Of one shape: there are more only among more than twenty groups, and no rows to tell them apart."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """Rules with the same number of clauses, each of one or two groups.

    Attributes:
        clauses: Groups of each clause, one named twice where there is no second: shape ``(rules, clauses, 2)``.
        shared: Each clause brings its share; else all must hold.
    """

    clauses: NDArray[np.intp]
    shared: bool


class Rules:
    """All rules over some groups, numbered; the first is that no group matters.

    Args:
        groups: Number of groups.
    """

    def __init__(self, groups: int) -> None:
        import numpy as np

        self._shapes = list(_shapes(groups))
        sizes = [1, *(len(shape.clauses) for shape in self._shapes)]
        self._before = np.concatenate([np.full(size, 1 / size / len(sizes)) for size in sizes])
        nothing = np.zeros((1, groups), dtype=bool)
        self.within = np.concatenate([nothing, *(_named(shape.clauses, groups) for shape in self._shapes)])
        """Whether each rule names each group: shape ``(rules, groups)``."""

    def held(self, shown: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How much of each rule holds in each row, 0 to 1: shape ``(rows, rules)``.

        Args:
            shown: Whether each row shows each group: shape ``(rows, groups)``.
        """
        import numpy as np

        found = [np.zeros((len(shown), 1))]
        for shape in self._shapes:
            each: NDArray[np.bool_] = np.any(shown[:, shape.clauses], axis=3)
            held = np.mean(each, axis=2) if shape.shared else np.all(each, axis=2)
            found.append(np.asarray(held, dtype=np.float64))
        return np.concatenate(found, axis=1)

    def likely(
        self, shown: NDArray[np.bool_], values: NDArray[np.float64], noise: float, gain: float
    ) -> NDArray[np.float64]:
        """How likely each rule is: shape ``(rules,)``, sum 1. A rule that lowers values is as if it did nothing.

        Args:
            shown: Whether each row shows each group.
            values: v of each row, in nats.
            noise: Standard deviation of a value that was measured, in nats; the rows may show a larger one.
            gain: About what a rule may bring, in nats: the more there is to choose from, the less a fit proves.
        """
        import numpy as np

        held = self.held(shown)
        held -= held.mean(axis=0)
        centred = values - values.mean()
        spread = (held**2).sum(axis=0)
        pull = np.maximum(0.0, centred @ held)
        won = np.divide(pull**2, spread, out=np.zeros_like(pull), where=spread > 0)
        left = np.maximum(0.0, centred @ centred - won) + _BELIEF * max(noise, _LEAST_NOISE) ** 2
        occam = -0.5 * np.log1p(spread * (gain / max(noise, _LEAST_NOISE)) ** 2)
        bits = occam - 0.5 * (len(values) - 2 + _BELIEF) * np.log(left)
        weights = self._before * np.exp(bits - bits.max())
        return weights / weights.sum()

    def covering(self, likely: NDArray[np.float64], sure: float, most: int) -> tuple[list[int], float]:
        """The fewest of the likeliest groups within which the true rule lies as surely as wanted, and how surely.

        Args:
            likely: How likely each rule is.
            sure: How surely is enough.
            most: How many groups at most.
        """
        import numpy as np

        order = np.argsort(-(likely @ self.within), kind="stable")
        sureness = 0.0
        for count in range(min(most, len(order)) + 1):
            inside = ~self.within[:, order[count:]].any(axis=1)
            sureness = float(likely[inside].sum())
            if sureness >= sure:
                return order[:count].tolist(), sureness
        return order[:most].tolist(), sureness

    def named(self, likely: NDArray[np.float64], least: float, most: int) -> list[int]:
        """The groups that the true rule names with a chance of ``least``, likeliest first, at most ``most``."""
        import numpy as np

        chance = likely @ self.within
        return [int(j) for j in np.argsort(-chance, kind="stable")[:most] if chance[j] >= least]

    def telling(self, likely: NDArray[np.float64], shown: NDArray[np.bool_], count: int, noise: float) -> list[int]:
        """The rows whose values would tell the rules apart best, for the groups that they show.

        A value is worth what it tells about the rule (mutual information, taking what the rules predict as normally
        distributed); rows are chosen one after the other, each beside those that were chosen before.

        Args:
            likely: How likely each rule is.
            shown: Whether each row that may be chosen shows each group.
            count: Rows to choose.
            noise: Standard deviation of a value, as a part of what a rule brings.
        """
        import numpy as np

        held = self.held(shown)
        away = (held - (held @ likely)[:, None]) * np.sqrt(likely)
        unknown = away @ away.T
        price = np.maximum(1, shown.sum(axis=1))
        chosen: list[int] = []
        for _ in range(min(count, len(shown))):
            worth = np.log1p(np.diag(unknown) / noise**2) / price
            worth[chosen] = -1.0
            at = int(np.argmax(worth))
            chosen.append(at)
            unknown = unknown - np.outer(unknown[at], unknown[at]) / (unknown[at, at] + noise**2)
        return chosen


def _shapes(groups: int) -> Iterator[_Shape]:
    """One or several groups together; each of several its share; pairs of which either will do."""
    for size in range(1, _MOST_TOGETHER + 1):
        together = [tuple((j, j) for j in each) for each in combinations(range(groups), size)]
        yield from _shape(together, False)
        if size > 1:
            yield from _shape(together, True)
    pairs = list(combinations(range(groups), 2))
    yield from _shape([((j, j), pair) for pair in pairs for j in range(groups) if j not in pair], False)
    yield from _shape([(a, b) for a, b in combinations(pairs, 2) if not set(a) & set(b)], False)


def _shape(rules: Sequence[Rule], shared: bool) -> Iterator[_Shape]:
    import numpy as np

    if 0 < len(rules) <= _MOST_RULES:
        yield _Shape(np.array(rules, dtype=np.intp), shared)


def _named(clauses: NDArray[np.intp], groups: int) -> NDArray[np.bool_]:
    import numpy as np

    return (clauses[..., None] == np.arange(groups)).any(axis=(1, 2))
