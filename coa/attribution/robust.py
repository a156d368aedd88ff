"""The search for evidence that helps only together: main effects over random halves, level by level."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coa.attribution.base import Search, Utility
from coa.attribution.certify import descend
from coa.attribution.groups import cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STANDARD_ERRORS = 2.0
_LEAST_EFFECT = 0.5


async def random_halves(utility: Utility, search: Search, halves: int, seed: int) -> list[int]:
    """Segments whose effect, averaged over ``halves`` random halves of what is left, stands out of the noise.

    Halves come in pairs (a half and its complement), which cancels what all segments have in common.
    """
    rng = random.Random(seed)
    nodes = cut(range(utility.n), search.groups)
    while True:
        effects, errors = await _main_effects(utility, nodes, _halves(len(nodes), halves, rng))
        order = sorted(range(len(nodes)), key=lambda j: -effects[j])
        if all(len(node) == 1 for node in nodes):
            least = max(_LEAST_EFFECT, 0.25 * effects[order[0]])
            clear = [j for j in order if effects[j] >= least and effects[j] > _STANDARD_ERRORS * errors[j]]
            return [nodes[j][0] for j in clear[: search.k]]
        kept = sorted(order[: search.k])
        nodes = [part for j in kept for part in cut(nodes[j], min(2, len(nodes[j])))]


async def substitutes(utility: Utility, found: Sequence[int], search: Search) -> list[int]:
    """Segments that can take the place of one of ``found``: copies of evidence that helps only in company."""
    added: list[int] = []
    for each in found:
        given = frozenset(found) - {each}
        with_it, without = await utility.values([given | {each}, given])
        rest = [i for i in range(utility.n) if i not in found and i not in added]
        if with_it - without < search.epsilon or not rest:
            continue
        groups = cut(rest, search.groups)
        values = await utility.values([given | frozenset(group) for group in groups])
        half = without + max(0.0, 0.5 * (with_it - without) - search.epsilon)
        added += await descend(utility, given, groups, values, half, keep=search.k, search=search)
    return added


def _halves(nodes: int, count: int, rng: random.Random) -> list[set[int]]:
    rows: list[set[int]] = []
    while len(rows) < count:
        half = set(rng.sample(range(nodes), nodes)[: nodes // 2])
        rows += [half, set(range(nodes)) - half]
    return [*rows[:count], set(range(nodes)), set[int]()]


async def _main_effects(
    utility: Utility, nodes: Sequence[tuple[int, ...]], rows: Sequence[set[int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares effect of each node and its standard error, both of shape ``(len(nodes),)``."""
    import numpy as np

    coalitions = [frozenset(i for j in row for i in nodes[j]) for row in rows]
    y = np.array(await utility.values(coalitions))
    x = np.array([[1.0, *(float(j in row) for j in range(len(nodes)))] for row in rows])
    fitted, *_ = np.linalg.lstsq(x, y, rcond=None)
    residual = y - x @ fitted
    variance = float(residual @ residual) / max(1, len(rows) - len(nodes) - 1)
    errors = np.sqrt(np.maximum(1e-9, np.diag(np.linalg.pinv(x.T @ x)) * variance))
    return fitted[1:], errors[1:]
