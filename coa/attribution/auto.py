"""The default search: cheap and certified first, robust when that does not certify, honest when nothing explains."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from statistics import median

from coa.attribution.averaged import AveragedUtility
from coa.attribution.base import BudgetSpent, Cause, Found, Role, Search, Utility
from coa.attribution.certify import certify
from coa.attribution.robust import random_halves, substitutes
from coa.attribution.shapley import EXACT_UP_TO, exact_shapley

_NOISE_SAMPLES = 16
_FEWEST_SEGMENTS = 16
_MOST_REPEATS = 8
_MAD_TO_SD = 1.4826


async def find_causes(utility: Utility, search: Search) -> Found:
    """The segments that a claim rests on, with both certificates.

    *Sufficiency*: the segments alone raise v to within a quarter of the whole gain. *Necessity*: without them, at most
    0.3 of the gain is left. A budget that ends gives the best so far, marked ``complete=False``.
    """
    raw, (utility, search) = utility, await _adjusted(utility, search)
    best: list[int] = []
    try:
        async for method, found in _attempts(utility, raw, search):
            result = await examine(utility, found, search, method)
            if not found or result.certified:
                return result
            best = best or found
            if result.v_only - result.v_none > 0:
                best = found
        return await examine(utility, best, search, "halves")
    except BudgetSpent:
        return await best_so_far(utility, best, search)


async def measured_noise(utility: Utility, seed: int = 0) -> float:
    """Standard deviation of v between coalitions that should not differ, in nats: single bystanders, by their MAD."""
    if utility.n < _FEWEST_SEGMENTS:
        return 0.0
    bystanders = random.Random(seed).sample(range(utility.n), min(_NOISE_SAMPLES, utility.n // 2))
    values = await utility.values([frozenset({i}) for i in bystanders])
    middle = median(values)
    return _MAD_TO_SD * median(abs(value - middle) for value in values)


async def examine(utility: Utility, found: Sequence[int], search: Search, method: str) -> Found:
    """Both certificates of a set of segments, and the part of each."""
    everything, given = frozenset(range(utility.n)), frozenset(found)
    v_all, v_none, v_only, v_without = await utility.values([everything, frozenset(), given, everything - given])
    total = max(v_all, v_only) - v_none
    sufficient = v_only >= v_all - max(search.epsilon, 0.25 * total)
    necessary = v_without - v_none <= max(search.epsilon, 0.3 * total)
    causes = await _causes(utility, found, search, total)
    return Found(
        causes=causes,
        v_all=v_all,
        v_none=v_none,
        v_only=v_only,
        v_without=v_without,
        certified=bool(found) and sufficient and necessary and total >= search.epsilon,
        method=method,
    )


async def _attempts(utility: Utility, raw: Utility, search: Search) -> AsyncGenerator[tuple[str, list[int]]]:
    """(method, segments) of one search after the other; an empty list ends them: the context explains nothing.

    Random halves average the noise themselves and take the ``raw`` utility.
    """
    found = await _pruned(utility, await certify(utility, search), search)
    v_all, v_none = await utility.values([frozenset(range(utility.n)), frozenset()])
    if found or v_all - v_none < search.epsilon:
        yield "certify", found
    for turn, halves in enumerate(search.halves):
        found = await random_halves(raw, search, halves, search.seed + 10_000 * turn)
        found = await _pruned(utility, found, search)
        if not found:
            continue
        more = await substitutes(utility, found, search)
        yield "halves", list(dict.fromkeys([*found, *more]))[: search.k]


async def _pruned(utility: Utility, found: Sequence[int], search: Search) -> list[int]:
    """Drop passengers: segments whose Shapley value is small beside the best one's."""
    if len(found) < 2 or not search.prune:
        return list(found)
    phi = await exact_shapley(utility, found[:EXACT_UP_TO])
    least = max(0.5, 0.1 * max(phi.values()))
    return sorted((i for i in phi if phi[i] >= least), key=lambda i: -phi[i])


async def _adjusted(utility: Utility, search: Search) -> tuple[Utility, Search]:
    """Measure the noise first: average it down, and count what is left of it, twice, as nothing."""
    try:
        noise = await measured_noise(utility, search.seed)
    except BudgetSpent:
        return utility, search
    if 2 * noise <= search.epsilon:
        return utility, search
    repeats = min(_MOST_REPEATS, max(3, round((2 * noise / search.epsilon) ** 2)))
    left = 2 * noise / repeats**0.5
    return AveragedUtility(utility, repeats, search.seed), replace(search, epsilon=max(search.epsilon, left))


async def _causes(utility: Utility, found: Sequence[int], search: Search, total: float) -> tuple[Cause, ...]:
    if not found:
        return ()
    given = frozenset(found)
    phi = await exact_shapley(utility, found) if len(found) <= EXACT_UP_TO else dict.fromkeys(found, 0.0)
    coalitions = [frozenset[int](), given, *(frozenset({i}) for i in found), *(given - {i} for i in found)]
    v_none, v_only, *rest = await utility.values(coalitions)
    alone = [value - v_none for value in rest[: len(found)]]
    drop = [v_only - value for value in rest[len(found) :]]
    causes = [
        Cause(segment=i, phi=phi[i], alone=a, drop=d, role=_role(a, d, len(found), search, total))
        for i, a, d in zip(found, alone, drop, strict=True)
    ]
    return tuple(sorted(causes, key=lambda cause: -cause.phi))


def _role(alone: float, drop: float, found: int, search: Search, total: float) -> Role:
    if alone >= total - max(search.epsilon, 0.25 * total):
        return "sufficient" if found == 1 or drop >= search.epsilon else "copy"
    if drop >= search.epsilon:
        return "needed" if alone < search.epsilon else "part"
    return "copy"


async def best_so_far(utility: Utility, best: Sequence[int], search: Search) -> Found:
    """What is known when the budget ends; the certificates are those that are already paid for."""
    try:
        return replace(await examine(utility, best, search, "halves"), certified=False, complete=False)
    except BudgetSpent:
        return unexplored(best)


def unexplored(best: Sequence[int] = ()) -> Found:
    """Segments about which no figure is known, because the budget ended first."""
    nan = float("nan")
    causes = tuple(Cause(segment=i, phi=0.0, alone=0.0, drop=0.0, role="part") for i in best)
    return Found(
        causes=causes, v_all=nan, v_none=nan, v_only=nan, v_without=nan, certified=False, method="none", complete=False
    )
