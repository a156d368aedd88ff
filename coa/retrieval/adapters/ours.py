"""What adapters offer of a retriever of ours: hits, or passages that fit a budget, with all that is known of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from coa.errors import UsageError
from coa.retrieval.base import Hit, Retriever, Value
from coa.retrieval.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A retriever with the switches of its searches.

    Attributes:
        retriever: What searches.
        k: Hits at most.
        tokens: A budget: the hits are joined and put in the order of their documents, as many as fit; an `Index` alone
            can do this. None gives the hits themselves, best first.
        options: Of `coa.retrieval.index.Index.find`: ``mode``, ``where``, ``how``.
    """

    retriever: Retriever
    k: int = 10
    tokens: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if (self.tokens is not None or self.options) and not isinstance(self.retriever, Index):
            raise UsageError("an index alone takes a budget and options", hint="Leave them out, or pass a coa.index.")

    async def search(self, query: str, k: int | None = None, **more: Any) -> list[Hit]:
        """The hits for a query; ``more`` are options of this search alone."""
        if isinstance(self.retriever, Index):
            return await asyncio.to_thread(self._found, self.retriever, query, k, more)
        return await self.retriever.search(query, k or self.k)

    def find(self, query: str, k: int | None = None, **more: Any) -> list[Hit]:
        """`search`, for callers that cannot wait; also where a loop runs already."""
        if isinstance(self.retriever, Index):
            return self._found(self.retriever, query, k, more)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(self.search(query, k))).result()

    def _found(self, index: Index, query: str, k: int | None, more: Mapping[str, Any]) -> list[Hit]:
        hits = index.find(query, k or self.k, **{**self.options, **more})
        return hits if self.tokens is None else list(index.context(hits, self.tokens).passages)


def name_of(hit: Hit) -> str:
    """A name that tells a hit from every other of its index."""
    return f"{hit.span.doc}:{hit.span.start}-{hit.span.end}" + ("" if hit.kind == "text" else f":{hit.kind}")


def about(hit: Hit) -> dict[str, Any]:
    """What is known of a hit but its text and score, as other libraries keep it: flat, of JSON's types."""
    known: dict[str, Any] = {
        "source": hit.path,
        "doc": hit.span.doc,
        "start_index": hit.span.start,
        "end_index": hit.span.end,
        "page": hit.page,
        "section": " > ".join(hit.section),
        "kind": hit.kind,
        **{f"score_{name}": score for name, score in hit.parts.items()},
    }
    fields: Mapping[str, Value] = hit.fields
    return {**fields, **{name: value for name, value in known.items() if value not in (None, "")}}
