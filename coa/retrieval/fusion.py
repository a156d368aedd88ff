"""One score from several: sums of z-scores, or reciprocal ranks."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean, pstdev

_LEVEL = 1e-9
_RRF = 60


def z_sum(parts: Mapping[str, Mapping[int, float]], weights: Mapping[str, float] | None = None) -> dict[int, float]:
    """The weighted sum of each unit's z-scores over the union of what the parts found.

    What a part does not score counts as 0 before the mean is taken: a unit without any of the words has no BM25.
    A part whose scores are all alike adds nothing.
    """
    union = sorted({unit for found in parts.values() for unit in found})
    total = dict.fromkeys(union, 0.0)
    for name, found in parts.items():
        scores = [found.get(unit, 0.0) for unit in union]
        mean, spread = (fmean(scores), pstdev(scores)) if scores else (0.0, 0.0)
        if spread > _LEVEL:
            weight = (weights or {}).get(name, 1.0)
            for unit, score in zip(union, scores, strict=True):
                total[unit] += weight * (score - mean) / spread
    return total


def reciprocal_ranks(
    parts: Mapping[str, Mapping[int, float]], weights: Mapping[str, float] | None = None
) -> dict[int, float]:
    """Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009): the sum of ``1 / (60 + rank)``."""
    total: dict[int, float] = {}
    for name, found in parts.items():
        weight = (weights or {}).get(name, 1.0)
        for rank, unit in enumerate(sorted(found, key=lambda unit: (-found[unit], unit)), 1):
            total[unit] = total.get(unit, 0.0) + weight / (_RRF + rank)
    return total
