"""`Retriever`: finds the passages of an index that bear on a query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from coa.types import Span

Mode = Literal["hybrid", "bm25", "dense"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found.

    Attributes:
        span: Where it stands; the document's text at ``span`` is ``text``, verbatim.
        score: Higher is better, comparable within one search only.
        text: The passage.
        path: The document's file.
        page: Page where it begins, from 1; None where the format has no pages.
        parts: Why: the score of each part of the search, such as ``bm25`` and ``dense``.
    """

    span: Span
    score: float
    text: str = ""
    path: str = ""
    page: int | None = None
    parts: Mapping[str, float] = field(default_factory=dict[str, float])


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds spans for a query."""

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most, best first."""
        ...
