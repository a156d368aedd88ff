"""The search for evidence that helps only together: main effects over random halves, level by level.

One text of three that are needed brings almost nothing by itself, so that no test of single groups finds it. Over
random halves of everything its effect shows; once two of the three are known, the third brings nearly all the gain.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coa.attribution.base import Coalition, Search, Utility
from coa.attribution.certify import completed, descend
from coa.attribution.conjunctions import best_rule
from coa.attribution.groups import cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STANDARD_ERRORS = 2.0
_LEAST_EFFECT = 0.5
_MOST_HALVES = 128
_LARGER = 0.75
_REPLACED = 0.2
"""Of what a segment brings, what must be left without it where another can take its place."""


async def random_halves(raw: Utility, quiet: Utility, search: Search, halves: int, pool: Sequence[int]) -> list[int]:
    """Segments that carry the claim together, found by their effects over random halves of what is left.

    A level keeps the fewest groups that are enough by themselves: those of the best rule, else those whose effects are
    clear; where neither suffices, the best ``search.k``. What is left gets smaller, so that every level affords more
    halves than the one before. What the levels lost is looked for again beside what they found.

    Args:
        raw: Scores the halves: a regression averages the noise itself.
        quiet: Scores the tests of sufficiency.
        search: How hard to look.
        halves: Random halves of the first level, at least.
        pool: Segments to look among.
    """
    nodes = cut(pool, search.groups, search.edges)
    while True:
        kept = await _narrowed(raw, quiet, nodes, search, halves, pool)
        if all(len(node) == 1 for node in nodes):
            return await _enough(quiet, [nodes[j][0] for j in kept], search, pool)
        parts = max(2, search.groups // len(kept))
        nodes = [part for j in sorted(kept) for part in cut(nodes[j], min(parts, len(nodes[j])), search.edges)]


async def _narrowed(
    raw: Utility,
    quiet: Utility,
    nodes: Sequence[tuple[int, ...]],
    search: Search,
    halves: int,
    pool: Sequence[int],
) -> list[int]:
    """The groups of one level that are kept: more halves are scored until what stands out is enough."""
    scale = (len(pool) / max(1, sum(map(len, nodes)))) ** 0.5
    order: list[int] = []
    for count in [each for each in search.halves if each >= halves]:
        rows = _rows(
            len(nodes), max(count, min(_MOST_HALVES, round(count * scale))), random.Random(f"{search.seed}|{nodes}")
        )
        values = await _scored(raw, nodes, rows)
        effects, errors = _main_effects(rows, values, len(nodes))
        order = sorted(range(len(nodes)), key=lambda j: -effects[j])
        least = max(_LEAST_EFFECT, 0.25 * effects[order[0]])
        clear = [j for j in order if effects[j] >= least and effects[j] > _STANDARD_ERRORS * errors[j]]
        ruled = list(dict.fromkeys(j for clause in best_rule(rows, values, len(nodes)) or () for j in clause))
        for choice in (ruled, clear[: search.k]):
            if choice and await _is_enough(quiet, [i for j in choice for i in nodes[j]], search, pool):
                return choice
    return order[: search.k]


async def _is_enough(quiet: Utility, found: Sequence[int], search: Search, pool: Sequence[int]) -> bool:
    """Sufficiency: all but a quarter of what the pool brings."""
    everything = frozenset(pool)
    v_all, v_none, reached = await quiet.values([everything, frozenset(), frozenset(found)])
    return reached >= v_all - max(search.epsilon, 0.25 * (v_all - v_none))


async def _enough(quiet: Utility, found: Sequence[int], search: Search, pool: Sequence[int]) -> list[int]:
    """What is found, with what it lacks."""
    if not found:
        return []
    v_all, v_none = await quiet.values([frozenset(pool), frozenset()])
    wanted = v_all - max(search.epsilon, 0.25 * (v_all - v_none))
    return await completed(quiet, found, pool, wanted, search.k, search)


async def substitutes(raw: Utility, quiet: Utility, found: Sequence[int], search: Search) -> list[int]:
    """Segments that can take the place of one of ``found``: copies of evidence that helps only in company.

    Whether there are any for a segment shows when it alone is left out of everything: only then is it worth looking.
    """
    everything = frozenset(range(raw.n))
    left = await raw.values([everything - {each} for each in found])
    added: list[int] = []
    for each, without_it in zip(found, left, strict=True):
        given = frozenset(found) - {each}
        with_it, without = await quiet.values([given | {each}, given])
        rest = [i for i in range(raw.n) if i not in found and i not in added]
        if with_it - without < search.epsilon or without_it - without < _REPLACED * (with_it - without) or not rest:
            continue
        groups = cut(rest, search.groups, search.edges)
        values = await quiet.values([given | frozenset(group) for group in groups])
        half = without + max(0.0, 0.5 * (with_it - without) - search.epsilon)
        added += await descend(quiet, given, groups, values, half, keep=search.k, search=search)
    return added


def _rows(nodes: int, count: int, rng: random.Random) -> list[set[int]]:
    """Pairs of a half and its complement, which cancels what all nodes have in common; every third row shows more."""
    rows: list[set[int]] = []
    while len(rows) < count:
        half = set(rng.sample(range(nodes), nodes)[: nodes // 2])
        rows += [half, set(range(nodes)) - half]
        rows.append(set(rng.sample(range(nodes), nodes)[: max(1, round(_LARGER * nodes))]))
    return [*rows[:count], set(range(nodes)), set[int]()]


async def _scored(utility: Utility, nodes: Sequence[tuple[int, ...]], rows: Sequence[set[int]]) -> NDArray[np.float64]:
    import numpy as np

    coalitions: list[Coalition] = [frozenset(i for j in row for i in nodes[j]) for row in rows]
    return np.array(await utility.values(coalitions), dtype=np.float64)


def _main_effects(
    rows: Sequence[set[int]], values: NDArray[np.float64], nodes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares effect of each node and its standard error, both of shape ``(nodes,)``."""
    import numpy as np

    x = np.array([[1.0, *(float(j in row) for j in range(nodes))] for row in rows])
    fitted, *_ = np.linalg.lstsq(x, values, rcond=None)
    residual = values - x @ fitted
    variance = float(residual @ residual) / max(1, len(rows) - nodes - 1)
    errors = np.sqrt(np.maximum(1e-9, np.diag(np.linalg.pinv(x.T @ x)) * variance))
    return fitted[1:].astype(np.float64), errors[1:].astype(np.float64)
