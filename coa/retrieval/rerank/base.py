"""The words of reranking: `Reranker`, what it hands back, and a `Retriever` that reranks what another one finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from coa.retrieval.base import Hit, Retriever
from coa.types import Usage

FIRST = 50
"""Hits that are reranked where nobody says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairs:
    """What was wrong with a model's rankings, and put right by code.

    Attributes:
        missing: Passages that a ranking left out; they kept their order behind the others.
        repeated: Numbers that came again.
        unknown: Numbers of no passage.
        asked_again: Rankings that were asked for a second time.
        unranked: Lists that kept their order because both replies were of no use.
    """

    missing: int = 0
    repeated: int = 0
    unknown: int = 0
    asked_again: int = 0
    unranked: int = 0

    def __add__(self, other: Repairs) -> Repairs:
        return Repairs(
            missing=self.missing + other.missing,
            repeated=self.repeated + other.repeated,
            unknown=self.unknown + other.unknown,
            asked_again=self.asked_again + other.asked_again,
            unranked=self.unranked + other.unranked,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked:
    """Hits in their new order, and what that took.

    Attributes:
        hits: All that were given. ``score`` is the reranker's; ``parts["search"]`` is the score they came with.
        method: Such as ``full``, ``sliding 20/10`` or ``cross-encoder``.
        usage: Calls and tokens; none of a cross-encoder, which runs here.
        repairs: What was wrong with the model's rankings.
        run_id: Of the run that keeps the calls; empty where there is none.
        warnings: What the user should know.
    """

    hits: tuple[Hit, ...]
    method: str
    usage: Usage = field(default_factory=Usage)
    repairs: Repairs = field(default_factory=Repairs)
    run_id: str = ""
    warnings: tuple[str, ...] = ()


class Reranker(Protocol):
    """Anything that puts hits into a better order."""

    async def rerank(self, query: str, hits: Sequence[Hit]) -> Reranked:
        """All the hits, best first."""
        ...


def scored(hit: Hit, score: float) -> Hit:
    """A hit with a new score; the old one stays among its parts."""
    return replace(hit, score=score, parts={**hit.parts, "search": hit.score})


class RerankedRetriever:
    """A `Retriever` that takes ``first`` hits of another one and reranks them."""

    def __init__(self, retriever: Retriever, reranker: Reranker, first: int = FIRST) -> None:
        self._retriever, self._reranker, self._first = retriever, reranker, first

    async def search(self, query: str, k: int, **options: Any) -> list[Hit]:
        """The ``k`` best of them, best first; ``options`` are the other retriever's."""
        hits = await self._retriever.search(query, max(k, self._first), **options)
        return list((await self._reranker.rerank(query, hits)).hits[:k])
