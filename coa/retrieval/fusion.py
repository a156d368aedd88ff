"""One score from several: sums of z-scores, or reciprocal ranks; and scores shared with neighbours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import fmean
from typing import TypeVar

Key = TypeVar("Key", int, str)
"""A unit's number, or a document's id."""

_PLAIN = 3.0
"""The highest z-score of words up to which vectors count in full; chosen on QMSum's training meetings and needles."""

_LEVEL = 1e-9
_RRF = 60


def z_sum(
    parts: Mapping[str, Mapping[Key, float]],
    weights: Mapping[str, float] | None = None,
    unknown: Collection[str] = (),
) -> dict[Key, float]:
    """The weighted sum of each unit's z-scores over the union of what the parts found.

    A part whose scores are all alike adds nothing.

    Args:
        parts: By name, the scores of units.
        weights: Of the parts; 1 where none is given.
        unknown: Parts whose gaps are unknown and add nothing; a gap of any other part is a score of 0, as of a unit
            that holds none of the words.
    """
    union = sorted({unit for found in parts.values() for unit in found})
    total = dict.fromkeys(union, 0.0)
    for name, found in parts.items():
        scored = [unit for unit in union if unit in found] if name in unknown else union
        scores = [found.get(unit, 0.0) for unit in scored]
        mean, spread = _mean_and_spread(scores)
        if spread > _LEVEL:
            weight = (weights or {}).get(name, 1.0) / spread
            for unit, score in zip(scored, scores, strict=True):
                total[unit] += weight * (score - mean)
    return total


def vectors_share(words: Collection[float]) -> float:
    """What vectors weigh beside words, from 0 to 1: ``(3 / z) ** 2`` where the best of the words has ``z`` above 3.

    A passage that stands far out by its words, such as by rare names, is what was asked for; vectors blur names.

    Args:
        words: The scores of all candidates by words, 0 for those that hold none.
    """
    mean, spread = _mean_and_spread(words)
    if spread <= _LEVEL:
        return 1.0
    return min(1.0, (_PLAIN * spread / (max(words) - mean)) ** 2)


def _mean_and_spread(scores: Collection[float]) -> tuple[float, float]:
    if not scores:
        return 0.0, 0.0
    mean = fmean(scores)
    return mean, fmean([(score - mean) ** 2 for score in scores]) ** 0.5


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


def smoothed(scores: Mapping[int, float], share: float) -> dict[int, float]:
    """Each unit's score and a share of those of the units before and after it, where they are known."""
    return {
        unit: score + share * (scores.get(unit - 1, 0.0) + scores.get(unit + 1, 0.0)) for unit, score in scores.items()
    }
