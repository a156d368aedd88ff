"""Shapley values of a few players, exactly or by permutations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from math import comb

from coa.attribution.base import Coalition, Utility

EXACT_UP_TO = 6


async def exact_shapley(utility: Utility, players: Sequence[int], middle: Utility | None = None) -> dict[int, float]:
    """The Shapley value of each player among ``players``, in nats: 2^m values of v.

    Args:
        utility: Of the claim.
        players: m segments.
        middle: Scores the coalitions of two to m - 2 players instead: there are many of them and each weighs little.
    """
    m = len(players)
    coalitions = [frozenset(each) for size in range(m + 1) for each in combinations(players, size)]
    inner = [each for each in coalitions if 1 < len(each) < m - 1]
    outer = [each for each in coalitions if not 1 < len(each) < m - 1]
    v = dict(zip(outer, await utility.values(outer), strict=True))
    if inner:
        v |= zip(inner, await (middle or utility).values(inner), strict=True)
    phi = dict.fromkeys(players, 0.0)
    for coalition in coalitions:
        for player in players:
            if player not in coalition:
                weight = 1 / (m * comb(m - 1, len(coalition)))
                phi[player] += weight * (v[coalition | {player}] - v[coalition])
    return phi


async def marginals(
    utility: Utility, nodes: Sequence[Coalition], permutations: Sequence[Sequence[int]]
) -> list[list[float]]:
    """Marginal gains of every node in every permutation: shape ``(len(nodes), len(permutations))``."""
    prefixes = [list(_prefixes(nodes, order)) for order in permutations]
    flat = [coalition for row in prefixes for coalition in row]
    values = iter(await utility.values(flat))
    gains: list[list[float]] = [[] for _ in nodes]
    for order in permutations:
        before = next(values)
        for node in order:
            after = next(values)
            gains[node].append(after - before)
            before = after
    return gains


def _prefixes(nodes: Sequence[Coalition], order: Sequence[int]) -> list[Coalition]:
    union: Coalition = frozenset()
    found = [union]
    for node in order:
        union |= nodes[node]
        found.append(union)
    return found
