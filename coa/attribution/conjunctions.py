"""Which few groups help only together: the best single rule that tells high values from low ones.

A linear effect sees one text of three that are needed as a small part of the gain, drowned by noise. The rule "all
three are shown" sees the whole gain. All rules of a few shapes are fitted to the same rows, and the best one is kept,
charged for how many of its shape there are (minimum description length).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rule = tuple[tuple[int, ...], ...]
"""Clauses that must all hold; a clause holds when one of its groups is shown."""

_MOST_TOGETHER = 4


def best_rule(rows: Sequence[set[int]], values: NDArray[np.float64], groups: int) -> Rule | None:
    """The rule that explains most of ``values`` by raising them; None where no rule raises anything.

    Args:
        rows: The groups that each row shows.
        values: v of each row, in nats.
        groups: Number of groups.
    """
    import numpy as np

    shown = np.array([[j in row for j in range(groups)] for row in rows])
    centred = values - values.mean()
    best: tuple[float, Rule] | None = None
    for shape in _shapes(groups):
        if not shape:
            continue
        held = np.stack([_held(shown, rule) for rule in shape], axis=1).astype(np.float64)
        held -= held.mean(axis=0)
        spread = (held**2).sum(axis=0)
        pull = np.maximum(0.0, centred @ held)
        left = centred @ centred - np.divide(pull**2, spread, out=np.zeros_like(pull), where=spread > 0)
        at = int(np.argmin(left))
        if pull[at] <= 0:
            continue
        bits = len(rows) * log(max(float(left[at]), 1e-9)) + 2 * log(len(shape))
        if best is None or bits < best[0]:
            best = (bits, shape[at])
    return best[1] if best else None


def _held(shown: NDArray[np.bool_], rule: Rule) -> NDArray[np.bool_]:
    import numpy as np

    return np.logical_and.reduce([shown[:, list(clause)].any(axis=1) for clause in rule])


def _shapes(groups: int) -> Iterator[list[Rule]]:
    """One or several groups together; then a group, or either of two, beside either of two others."""
    for size in range(1, _MOST_TOGETHER + 1):
        yield [tuple((j,) for j in together) for together in combinations(range(groups), size)]
    pairs = list(combinations(range(groups), 2))
    yield [((j,), pair) for pair in pairs for j in range(groups) if j not in pair]
    yield [(a, b) for a, b in combinations(pairs, 2) if not set(a) & set(b)]
