"""Support: how much of a claim's wording a text holds. Cheap, needs no model, and says nothing about causes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from coa.attribution.base import Cause, Found
from coa.retrieval.terms import terms

LEAST_SUPPORT = 0.34
"""Less than a third of the claim's weight is chance."""


def support(texts: Sequence[str], claim: str) -> list[float]:
    """The share of the claim's terms, weighted by rarity among ``texts``, that each text holds: from 0 to 1."""
    bags = [frozenset(terms(text)) for text in texts]
    frequency = Counter(term for bag in bags for term in bag)
    weights = {term: math.log(1 + (len(texts) + 1) / (frequency[term] + 1)) for term in terms(claim)}
    whole = sum(weights.values())
    if not whole:
        return [0.0] * len(texts)
    return [sum(weights[term] for term in weights.keys() & bag) / whole for bag in bags]


def find_support(texts: Sequence[str], claim: str, k: int) -> Found:
    """The ``k`` texts that share most with the claim; none where all share too little."""
    scores = support(texts, claim)
    best = sorted(range(len(texts)), key=lambda i: -scores[i])[:k]
    floor = max(LEAST_SUPPORT, 0.75 * (scores[best[0]] if best else 0.0))
    causes = tuple(
        Cause(segment=i, phi=scores[i], alone=scores[i], drop=0.0, role="part") for i in best if scores[i] >= floor
    )
    top = causes[0].phi if causes else 0.0
    return Found(causes=causes, v_all=top, v_none=0.0, v_only=top, v_without=0.0, certified=False, method="support")
