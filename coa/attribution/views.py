"""A utility seen three ways, so that a noisy scorer is neither asked too often nor believed too soon."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from statistics import median

from coa.attribution.averaged import AveragedUtility
from coa.attribution.base import BudgetSpent, Search, Utility

_NOISE_SAMPLES = 16
_FEWEST_SEGMENTS = 16
_MOST_REPEATS = 8
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True)
class Views:
    """One utility, seen three ways; where the scorer is quiet they are the same.

    Attributes:
        raw: As it is: a regression averages the noise itself.
        quiet: Averaged, for tests of single coalitions.
        fresh: Averaged over other bystanders: judges what was picked for its value.
    """

    raw: Utility
    quiet: Utility
    fresh: Utility


async def views_of(utility: Utility, search: Search) -> tuple[Views, Search]:
    """Measure the noise first: average it down, and count what is left of it, twice, as nothing."""
    try:
        noise = await measured_noise(utility, search.seed)
    except BudgetSpent:
        noise = 0.0
    if 2 * noise <= search.epsilon:
        return Views(utility, utility, utility), search
    repeats = min(_MOST_REPEATS, max(3, round((2 * noise / search.epsilon) ** 2)))
    left = 2 * noise / repeats**0.5
    quiet = AveragedUtility(utility, repeats, search.seed)
    return Views(utility, quiet, quiet.afresh()), replace(search, epsilon=max(search.epsilon, left))


async def measured_noise(utility: Utility, seed: int = 0) -> float:
    """Standard deviation of v between coalitions that should not differ, in nats: single bystanders, by their MAD."""
    if utility.n < _FEWEST_SEGMENTS:
        return 0.0
    bystanders = random.Random(seed).sample(range(utility.n), min(_NOISE_SAMPLES, utility.n // 2))
    values = await utility.values([frozenset({i}) for i in bystanders])
    middle = median(values)
    return _MAD_TO_SD * median(abs(value - middle) for value in values)
