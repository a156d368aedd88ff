"""`Retriever`: finds the passages of an index that bear on a query."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from coa.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A span that was found, with its score: higher is better, comparable within one search only."""

    span: Span
    score: float


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds spans for a query."""

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most, best first."""
        ...
