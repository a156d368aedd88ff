"""How a search ranks: `Ranking` names the switches, `Ranker` scores the units of a store with them.

Candidates are the best of each part for each query; every part then scores the whole union exactly, because a gap in a
list is no score (filling gaps with the list's minimum costs up to two points of nDCG, see docs/retrieval.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from coa.errors import UsageError
from coa.retrieval.base import Mode, Store
from coa.retrieval.diversity import diverse
from coa.retrieval.embedders import Embedder, embed_queries
from coa.retrieval.filters import Condition
from coa.retrieval.fusion import reciprocal_ranks, smoothed, vectors_share, z_sum
from coa.retrieval.terms import terms

Parts = dict[str, dict[int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The switches of a search.

    Attributes:
        mode: ``bm25``, ``dense`` or ``hybrid``; None is hybrid where the index has vectors, BM25 otherwise.
        fusion: ``z`` adds z-scores, ``rrf`` reciprocal ranks.
        weights: Of the parts ``bm25`` and ``dense``. Without one words have 1, and with the fusion ``z`` vectors have 1
            or less, by how far the best passage stands out by its words: `coa.retrieval.fusion.vectors_share`.
        smooth: The share of its neighbours' scores that a unit gets in a hybrid search; 0 turns it off.
        diversity: 0 takes the best, 1 the most different of the good ones (MMR's 1 - lambda).
        candidates: Units that each part contributes.
    """

    mode: Mode | None = None
    fusion: Literal["z", "rrf"] = "z"
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    smooth: float = 0.0
    diversity: float = 0.0
    candidates: int = 200

    def __post_init__(self) -> None:
        if not 0.0 <= self.diversity <= 1.0:
            raise UsageError(f"a diversity of {self.diversity!r} makes no sense", hint="Give a number from 0 to 1.")
        if self.smooth < 0 or self.candidates < 1:
            raise UsageError("smoothing cannot be negative, and there must be candidates", hint="Give 0 or more.")
        if unknown := set(self.weights) - {"bm25", "dense"}:
            raise UsageError(f"no part is called {min(unknown)!r}", hint="The parts are bm25 and dense.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A unit's number, its score, and what each part of the search gave it."""

    unit: int
    score: float
    parts: Mapping[str, float]


class Ranker:
    """Ranks the units of a store; ``embedder`` is the one its vectors are from."""

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        self._store, self._embedder = store, embedder

    def rank(self, queries: Sequence[str], k: int, how: Ranking, where: Condition | None = None) -> list[Ranked]:
        """The ``k`` best units at most, best first.

        Args:
            queries: One, or several ways of asking for the same: their scores are added.
            k: How many.
            how: The switches.
            where: Only units that meet it.

        Raises:
            UsageError: an empty query, ``k`` below 1, or vectors asked of an index that has none.
        """
        mode = mode_of(self._embedder, how.mode)
        check(queries, k, mode, self._embedder)
        parts, union = self._parts(queries, max(k, how.candidates), mode, how, where)
        scores = _fused(parts, how)
        raw = _by_name(parts)
        if how.smooth and mode == "hybrid":
            before, scores = scores, smoothed(scores, how.smooth)
            raw["neighbours"] = {unit: scores[unit] - before[unit] for unit in scores}
        best = sorted(scores.keys() & union, key=lambda unit: (-scores[unit], unit))
        if how.diversity:
            best = diverse(self._store, best[: max(4 * k, 50)], scores, k, how.diversity)
        return [
            Ranked(unit=unit, score=scores[unit], parts={n: found[unit] for n, found in raw.items() if unit in found})
            for unit in best[:k]
        ]

    def _parts(
        self, queries: Sequence[str], most: int, mode: Mode, how: Ranking, where: Condition | None
    ) -> tuple[Parts, set[int]]:
        """What each part gives to the union of all candidates, and that union without the neighbours it was lent."""
        words = {f"bm25#{n}": terms(query) for n, query in enumerate(queries)} if mode != "dense" else {}
        lists: Parts = {name: self._store.search_lexical(found, most, where=where) for name, found in words.items()}
        vectors = {}
        if mode != "bm25" and self._embedder is not None:
            vectors = {f"dense#{n}": vector for n, vector in enumerate(embed_queries(self._embedder, queries))}
            lists |= {name: self._store.search_dense(vector, most, where=where) for name, vector in vectors.items()}
        union = {unit for found in lists.values() for unit in found}
        wide = union | {unit + step for unit in union for step in (-1, 1)} if how.smooth and mode == "hybrid" else union
        if len(lists) > 1 and how.fusion == "z":
            for name, found in lists.items():
                gaps = wide - found.keys()
                if name in words:
                    found |= self._store.search_lexical(words[name], most, among=gaps)
                else:
                    found |= self._store.search_dense(vectors[name], most, among=gaps)
        return lists, union


def mode_of(embedder: Embedder | None, mode: Mode | None) -> Mode:
    """The mode that is wanted: hybrid where there are vectors, words otherwise."""
    return mode or ("hybrid" if embedder is not None else "bm25")


def check(queries: Sequence[str], k: int, mode: Mode, embedder: Embedder | None) -> None:
    """Refuse what cannot be searched for.

    Raises:
        UsageError: an empty query, ``k`` below 1, or vectors asked of an index that has none.
    """
    if not queries or not all(query.strip() for query in queries):
        raise UsageError("the query is empty", hint="Give some words to look for.")
    if k < 1:
        raise UsageError(f"nothing can be found with a k of {k}", hint="Give a -k of 1 or more.")
    if mode != "bm25" and embedder is None:
        raise UsageError("this index has no vectors", hint="Index with --embedder minilm, or search with bm25.")


def _fused(parts: Parts, how: Ranking) -> dict[int, float]:
    if len(parts) == 1:
        return dict(next(iter(parts.values())))
    weights = {name: how.weights.get(name.partition("#")[0], 1.0) for name in parts}
    if how.fusion == "rrf":
        return reciprocal_ranks(parts, weights)
    if "dense" not in how.weights:
        weights |= _vectors_weights(parts)
    return z_sum(parts, weights, unknown=[name for name in parts if name.startswith("dense")])


def _vectors_weights(parts: Parts) -> dict[str, float]:
    """What the vectors of each query weigh beside its words."""
    union = {unit for found in parts.values() for unit in found}
    shares: dict[str, float] = {}
    for name, found in parts.items():
        part, _, query = name.partition("#")
        if part == "bm25" and f"dense#{query}" in parts:
            shares[f"dense#{query}"] = vectors_share([found.get(unit, 0.0) for unit in union])
    return shares


def _by_name(parts: Mapping[str, Mapping[int, float]]) -> Parts:
    """Each part's scores, the highest of those that several queries gave."""
    found: Parts = {}
    for name, scores in parts.items():
        known = found.setdefault(name.partition("#")[0], {})
        for unit, score in scores.items():
            known[unit] = max(score, known.get(unit, score))
    return found
