"""Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): good passages that do not repeat each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from coa.retrieval.base import Store
from coa.retrieval.terms import terms

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

Likeness = Callable[[int, int], float]


def diverse(store: Store, units: Sequence[int], scores: Mapping[int, float], k: int, diversity: float) -> list[int]:
    """``k`` of the units, in the order they were taken: the best first, then what adds most.

    Args:
        store: Where their vectors are; units without one are compared by their words.
        units: Candidates, best first.
        scores: Of the candidates; they are brought to the range 0 to 1.
        k: How many.
        diversity: The weight of being unlike those already taken, from 0 to 1.
    """
    alike = _likeness(store, units)
    low, high = (min(scores[u] for u in units), max(scores[u] for u in units)) if units else (0.0, 0.0)
    relevance = {unit: (scores[unit] - low) / ((high - low) or 1.0) for unit in units}
    nearest = dict.fromkeys(units, 0.0)
    taken: list[int] = []
    while nearest and len(taken) < k:
        best = max(nearest, key=lambda unit: (1 - diversity) * relevance[unit] - diversity * nearest[unit])
        del nearest[best]
        taken.append(best)
        for unit in nearest:
            nearest[unit] = max(nearest[unit], alike(unit, best))
    return taken


def _likeness(store: Store, units: Sequence[int]) -> Likeness:
    vectors = store.vectors(units)
    bags = {unit.id: frozenset(terms(unit.text)) for unit in store.units([u for u in units if u not in vectors])}

    def alike(one: int, other: int) -> float:
        if one in vectors and other in vectors:
            return float(vectors[one] @ vectors[other])
        return _overlap(bags.get(one, frozenset()), bags.get(other, frozenset()))

    return alike


def _overlap(one: AbstractSet[str], other: AbstractSet[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0
