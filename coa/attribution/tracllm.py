"""TracLLM (arXiv 2506.04202, sections 4.2 and 4.3): informed search by STC, LOO, denoised Shapley; their ensemble.

The published algorithm on ids instead of words (duplicates stay apart), with every repeated value taken from the
ledger. With no more than K segments, where the published code fails, the segments are scored once.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence

from coa.attribution.base import Coalition, Utility
from coa.attribution.shapley import marginals

Score = Callable[[Utility, Sequence[Coalition]], Awaitable[list[float]]]


async def single_text_contribution(utility: Utility, nodes: Sequence[Coalition]) -> list[float]:
    """STC: v({i}) - v(nothing)."""
    empty, *alone = await utility.values([frozenset(), *nodes])
    return [value - empty for value in alone]


async def leave_one_out(utility: Utility, nodes: Sequence[Coalition]) -> list[float]:
    """LOO: v(all) - v(all but i), where *all* are the nodes of this level."""
    everything = frozenset[int]().union(*nodes)
    whole, *without = await utility.values([everything, *(everything - node for node in nodes)])
    return [whole - value for value in without]


def denoised_shapley(*, permutations: int = 20, beta: float = 0.2, seed: int = 0) -> Score:
    """Mean of the ``beta`` largest marginal gains over random permutations."""
    rng = random.Random(seed)

    async def score(utility: Utility, nodes: Sequence[Coalition]) -> list[float]:
        orders = [rng.sample(range(len(nodes)), len(nodes)) for _ in range(permutations)]
        best = max(1, int(permutations * beta))
        return [sum(sorted(row)[-best:]) / best for row in await marginals(utility, nodes, orders)]

    return score


async def informed_search(utility: Utility, score: Score, *, k: int = 5) -> dict[int, float]:
    """Halve, score, keep the best ``k``; until single segments are left. At most ``k`` ids with their last scores."""
    nodes: list[tuple[int, ...]] = [tuple(range(utility.n))] if utility.n else []
    scores: list[float] | None = None
    while any(len(node) > 1 for node in nodes):
        nodes = [half for node in nodes for half in _halves(node)]
        scores = None
        if len(nodes) > k:
            scores = await score(utility, [frozenset(node) for node in nodes])
            kept = _best(scores, k)
            nodes, scores = [nodes[j] for j in kept], [scores[j] for j in kept]
    if scores is None and nodes:
        scores = await score(utility, [frozenset(node) for node in nodes])
    return {node[0]: value for node, value in zip(nodes, scores or [], strict=True)}


async def tracllm(
    utility: Utility, *, k: int = 5, weight: float = 2.0, permutations: int = 20, beta: float = 0.2, seed: int = 0
) -> dict[int, float]:
    """The ensemble: the best ``k`` ids by max(STC, ``weight`` x LOO, denoised Shapley), best first."""
    shapley = denoised_shapley(permutations=permutations, beta=beta, seed=seed)
    best: dict[int, float] = {}
    for score, factor in ((single_text_contribution, 1.0), (leave_one_out, weight), (shapley, 1.0)):
        for segment, value in (await informed_search(utility, score, k=k)).items():
            best[segment] = max(best.get(segment, float("-inf")), factor * value)
    return dict(sorted(best.items(), key=lambda item: -item[1])[:k])


def _halves(node: tuple[int, ...]) -> list[tuple[int, ...]]:
    middle = len(node) // 2
    return [node[:middle], node[middle:]] if middle else [node]


def _best(scores: Sequence[float], k: int) -> list[int]:
    """Places of the ``k`` highest scores, in document order."""
    return sorted(sorted(range(len(scores)), key=lambda j: -scores[j])[:k])
