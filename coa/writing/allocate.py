"""Word budgets that sum to their target, exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAF_WORDS, LEAST_WORDS, MOST_WORDS = 600, 250, 900
"""Models write 700 to 1,500 words in one go and less than asked beyond: leaves stay below."""


def leaf_count(words: int, leaf: int = LEAF_WORDS, least: int = LEAST_WORDS, most: int = MOST_WORDS) -> int:
    """How many leaves of about ``leaf`` words make ``words``, each between ``least`` and ``most``; at least one."""
    if words < least:
        return 1
    return min(max(round(words / leaf), math.ceil(words / most)), max(1, words // least))


def allocate(weights: Sequence[float], total: int, least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Share ``total`` in proportion to the weights, each share within its bounds; the sum is exact.

    Raises:
        ValueError: the bounds leave no room for the total.
    """
    if not sum(least) <= total <= sum(most):
        raise ValueError(f"{total} words cannot be shared among {len(weights)} parts")
    exact = _scaled([max(weight, 1e-9) for weight in weights], total, least, most)
    shares = [min(high, max(low, math.floor(value))) for value, low, high in zip(exact, least, most, strict=True)]
    order = sorted(range(len(shares)), key=lambda i: shares[i] - exact[i])
    while (left := total - sum(shares)) != 0:
        step = 1 if left > 0 else -1
        for i in order:
            if left and least[i] <= shares[i] + step <= most[i]:
                shares[i] += step
                left -= step
    return shares


def _scaled(weights: Sequence[float], total: int, least: Sequence[int], most: Sequence[int]) -> list[float]:
    """Bisect the factor at which the clamped shares sum to the total."""
    low, high = 0.0, max(most) / min(weights) + 1.0

    def shares(factor: float) -> list[float]:
        return [min(b, max(a, factor * w)) for w, a, b in zip(weights, least, most, strict=True)]

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(shares(middle)) < total else (low, middle)
    return shares(high)
