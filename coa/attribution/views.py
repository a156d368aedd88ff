"""A utility seen several ways, so that a noisy scorer is neither asked too often nor believed too soon."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from math import log, sqrt
from statistics import median

from coa.attribution.averaged import AveragedUtility
from coa.attribution.base import BudgetSpent, Search, Utility

_NOISE_SAMPLES = 16
_FEWEST_SEGMENTS = 16
_MOST_REPEATS = 8
_MAD_TO_SD = 1.4826
_ROUGH = 4
_MARGIN = 1.2
_SHARE_A_NAT = 0.05


@dataclass(frozen=True, slots=True)
class Views:
    """One utility, seen several ways; where the scorer is quiet they are the same.

    Attributes:
        raw: As it is: a regression averages the noise itself.
        quiet: Averaged, for tests of single coalitions.
        fresh: Averaged over other bystanders: judges what was picked for its value.
        rough: Averaged a little: for values of which many are averaged anyway.
    """

    raw: Utility
    quiet: Utility
    fresh: Utility
    rough: Utility


async def views_of(utility: Utility, search: Search) -> tuple[Views, Search]:
    """Measure the noise first: average it down, and count what is left of it, twice, as nothing.

    The best of many groups brings something by noise alone: of t values with normal noise the highest stands about
    sqrt(2 ln t) standard deviations above the mean. A finding must bring a fifth more than that.
    """
    try:
        noise = await measured_noise(utility, search.seed)
    except BudgetSpent:
        noise = 0.0
    if 2 * noise <= search.epsilon:
        least = _by_chance(utility.n, search) * noise * sqrt(2)
        return Views(utility, utility, utility, utility), replace(search, least=least, noise=noise)
    repeats = min(_MOST_REPEATS, max(3, round((2 * noise / search.epsilon) ** 2)))
    left = 2 * noise / repeats**0.5
    views = Views(
        raw=utility,
        quiet=AveragedUtility(utility, repeats, search.seed),
        fresh=AveragedUtility(utility, max(3, repeats // 2), search.seed + 1),
        rough=AveragedUtility(utility, min(_ROUGH, repeats), search.seed),
    )
    least = _by_chance(utility.n, search) * noise * sqrt(2 / repeats)
    share = search.share + _SHARE_A_NAT * noise
    return views, replace(search, epsilon=max(search.epsilon, left), least=least, share=share, noise=noise)


def _by_chance(n: int, search: Search) -> float:
    """What the best of all that is tried brings by noise alone, and a margin, in standard deviations."""
    return _MARGIN * sqrt(2 * log(_tried(n, search)))


def _tried(n: int, search: Search) -> float:
    """About how many groups a search looks at: the first level, and the parts of the best ones on each level below."""
    levels = max(0.0, log(max(1, n) / search.groups, search.branch))
    return max(2.0, min(n, search.groups) + search.k * search.branch * levels)


async def measured_noise(utility: Utility, seed: int = 0) -> float:
    """Standard deviation of v between coalitions that should not differ, in nats: single bystanders, by their MAD."""
    if utility.n < _FEWEST_SEGMENTS:
        return 0.0
    bystanders = random.Random(seed).sample(range(utility.n), min(_NOISE_SAMPLES, utility.n // 2))
    values = await utility.values([frozenset({i}) for i in bystanders])
    middle = median(values)
    return _MAD_TO_SD * median(abs(value - middle) for value in values)
