"""Whole documents ranked: which of them is this about?

A long document is found by all of its words, not by one passage: BM25 over the document, and the same over pairs of
neighbouring words of the query (the sequential dependence of Metzler and Croft, SIGIR 2005, with BM25 in place of their
language model). To these are added the best passage by words and the best by vectors, as z-scores over the documents
that any part puts forward. The counts are the store's own: no document is kept or read a second time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from coa.retrieval.base import Counts, CountsWords, Hit, Mode, Store
from coa.retrieval.embedders import Embedder, embed_queries
from coa.retrieval.filters import Condition
from coa.retrieval.fusion import z_sum
from coa.retrieval.numbers import UNITS_A_DOCUMENT
from coa.retrieval.ranking import check, mode_of
from coa.retrieval.terms import terms

K1, B = 2.5, 0.9
"""BM25's, for counts of units in documents of thousands of words; chosen on QMSum's training meetings."""

_UNITS = 1_000
_CANDIDATES = 100

Scores = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentHit:
    """A document that was found.

    Attributes:
        doc: Its id in the index.
        path: Its file.
        score: Higher is better, comparable within one search only.
        parts: Why: BM25 of its ``words`` and of their ``pairs``, of its best passage (``units``), and the cosine of
            its nearest passage (``dense``). A part that found nothing in it is left out.
        hits: Its best passages, best first.
    """

    doc: str
    path: str
    score: float
    parts: Mapping[str, float]
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedDocument:
    """A document's id, its score, and what each part of the search gave it."""

    doc: str
    score: float
    parts: Mapping[str, float]


class DocumentRanker:
    """Ranks the documents of a store; ``embedder`` is the one its vectors are from."""

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        self._store, self._embedder = store, embedder

    def rank(
        self, queries: Sequence[str], k: int, mode: Mode | None = None, where: Condition | None = None
    ) -> list[RankedDocument]:
        """The ``k`` best documents at most, best first.

        Args:
            queries: One, or several ways of asking for the same: their scores are added.
            k: How many.
            mode: ``bm25`` leaves the vectors out, ``dense`` the words.
            where: Only passages that meet it count.

        Raises:
            UsageError: an empty query, ``k`` below 1, or vectors asked of an index that has none.
        """
        mode = mode_of(self._embedder, mode)
        check(queries, k, mode, self._embedder)
        parts: dict[str, Scores] = {}
        for number, query in enumerate(queries):
            if mode != "dense":
                parts |= {f"{name}#{number}": found for name, found in self._by_words(query, where).items()}
            if mode != "bm25" and self._embedder is not None:
                vector = embed_queries(self._embedder, [query])[0]
                parts[f"dense#{number}"] = self._best(self._store.search_dense(vector, _UNITS, where=where))
        scores = z_sum(_candidates(parts, max(k, _CANDIDATES)))
        best = sorted(scores, key=lambda doc: (-scores[doc], doc))[:k]
        return [RankedDocument(doc=doc, score=scores[doc], parts=_why(parts, doc)) for doc in best]

    def _by_words(self, query: str, where: Condition | None) -> dict[str, Scores]:
        found = terms(query)
        parts = {"units": self._best(self._store.search_lexical(found, _UNITS, where=where))}
        if isinstance(self._store, CountsWords):
            single = [(term,) for term in dict.fromkeys(found)]
            parts["words"] = bm25(self._store.count_words(single, where=where))
            parts["pairs"] = bm25(self._store.count_words(neighbours(found), where=where))
        return parts

    def _best(self, units: Mapping[int, float]) -> Scores:
        """The score of each document's best unit."""
        best: dict[int, int] = {}
        for unit, score in units.items():
            document = unit // UNITS_A_DOCUMENT
            if document not in best or score > units[best[document]]:
                best[document] = unit
        return {unit.span.doc: units[unit.id] for unit in self._store.units(list(best.values()))}


def neighbours(words: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of different words that follow each other, each once, whichever comes first."""
    return list(dict.fromkeys((min(pair), max(pair)) for pair in pairwise(words) if pair[0] != pair[1]))


def bm25(counts: Counts) -> Scores:
    """BM25 of the documents that hold any of the phrases; a count is of units, a length of characters."""
    scores = dict.fromkeys(counts.lengths, 0.0)
    for found in counts.units:
        rare = math.log(1 + (counts.documents - len(found) + 0.5) / (len(found) + 0.5))
        for doc, count in found.items():
            size = K1 * (1 - B + B * counts.lengths[doc] / counts.chars)
            scores[doc] += rare * count * (K1 + 1) / (count + size)
    return scores


def _candidates(parts: Mapping[str, Scores], most: int) -> dict[str, Scores]:
    """Every part's scores of the documents that any part has among its best, none left open.

    A document without a word has 0 of it; one whose best passage is not in the list has at most the list's last score.
    """
    union = {doc for found in parts.values() for doc in sorted(found, key=lambda doc: (-found[doc], doc))[:most]}
    scored: dict[str, Scores] = {}
    for name, found in parts.items():
        least = min(found.values(), default=0.0) if name.startswith(("units", "dense")) else 0.0
        scored[name] = {doc: found.get(doc, least) for doc in union}
    return scored


def _why(parts: Mapping[str, Scores], doc: str) -> Scores:
    """What each part gave a document, the highest where several queries did."""
    why: Scores = {}
    for name, found in parts.items():
        if doc in found:
            bare = name.partition("#")[0]
            why[bare] = max(found[doc], why.get(bare, found[doc]))
    return why
