"""Haystack (``haystack-ai``): an index as a component, and any of its retrievers here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.adapters.extra import required
from coa.retrieval.adapters.ours import Offer, about, name_of
from coa.retrieval.adapters.theirs import Found, Placed
from coa.retrieval.base import Hit, Retriever
from coa.retrieval.index import Index

_haystack: Any = required("haystack", "haystack-ai")
_component: Any = _haystack.component

_OPERATORS = {"==": "eq", ">=": "gte", "<=": "lte", "in": "in"}
_JOINED = {"AND": "and", "OR": "or"}


@_component
class HaystackRetriever:
    """A retriever of ours for Haystack's pipelines: ``run`` and ``run_async``.

    A document's ``content`` is the passage to the letter; its meta are as in `coa.retrieval.adapters.ours.about`, and
    say ``source_id`` and ``split_idx_start`` as Haystack's own splitter does.

    Args:
        retriever: Any `coa.retrieval.base.Retriever`, or the address of an index, which a saved pipeline needs.
        top_k: Passages at most.
        tokens: See `coa.retrieval.adapters.ours.Offer`.
        options: Likewise.
    """

    def __init__(
        self,
        retriever: Retriever | str | Path,
        top_k: int = 10,
        tokens: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self._top_k, self._tokens, self._options = top_k, tokens, options or {}
        self._address: str | None = None
        self._offer: Offer | None = None
        if isinstance(retriever, str | Path):
            self._address = str(retriever)
        else:
            self._offer = self._over(retriever)

    def _over(self, retriever: Retriever) -> Offer:
        return Offer(retriever=retriever, k=self._top_k, tokens=self._tokens, options=self._options)

    def warm_up(self) -> None:
        """Open the index, where an address was given."""
        if self._offer is None and self._address is not None:
            self._offer = self._over(Index.open(self._address))

    def to_dict(self) -> dict[str, Any]:
        """The component as a saved pipeline holds it.

        Raises:
            UsageError: it was given an object, which cannot be saved.
        """
        if self._address is None:
            raise UsageError("an open retriever cannot be saved", hint="Make the component from an index's address.")
        return _haystack.default_to_dict(
            self, retriever=self._address, top_k=self._top_k, tokens=self._tokens, options=self._options
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """The component of a saved pipeline."""
        return _haystack.default_from_dict(cls, data)

    @_component.output_types(documents=list[_haystack.Document])
    def run(self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None) -> dict[str, Any]:
        """Find passages.

        Args:
            query: Words or a question.
            filters: Haystack's own, or a condition as in `coa.retrieval.filters`.
            top_k: In place of the component's own.
        """
        return {"documents": [_document(hit) for hit in self._ready().find(query, top_k, **_where(filters))]}

    @_component.output_types(documents=list[_haystack.Document])
    async def run_async(
        self, query: str, filters: dict[str, Any] | None = None, top_k: int | None = None
    ) -> dict[str, Any]:
        """`run`, in an event loop."""
        return {"documents": [_document(hit) for hit in await self._ready().search(query, top_k, **_where(filters))]}

    def _ready(self) -> Offer:
        self.warm_up()
        assert self._offer is not None
        return self._offer


class FromHaystack:
    """A retriever component of Haystack's as a `coa.retrieval.base.Retriever`, for chains and writers.

    Args:
        component: One whose ``run`` takes ``query`` and ``top_k`` and gives ``documents``.
        documents: What its document store was filled from, as `coa.load` gives them: hits are placed in them.
    """

    def __init__(self, component: Any, documents: Iterable[Document]) -> None:
        self._component, self._placed = component, Placed(documents, "haystack")

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most."""
        if hasattr(self._component, "run_async"):
            found = await self._component.run_async(query=query, top_k=k)
        else:
            found = await asyncio.to_thread(self._component.run, query=query, top_k=k)
        return self._placed.hits([_found(one) for one in found["documents"]], k)


def _document(hit: Hit) -> Any:
    meta = {**about(hit), "source_id": hit.span.doc, "split_idx_start": hit.span.start}
    if hit.unit is not None:
        meta["split_id"] = hit.unit
    return _haystack.Document(id=name_of(hit), content=hit.text, meta=meta, score=hit.score)


def _found(document: Any) -> Found:
    meta = document.meta
    start = meta.get("split_idx_start")
    return Found(
        text=document.content or "",
        names=[str(meta[name]) for name in ("doc", "source_id", "source", "file_path") if meta.get(name)],
        start=start if isinstance(start, int) else None,
        score=document.score,
    )


def _where(filters: Mapping[str, Any] | None) -> dict[str, Any]:
    if not filters:
        return {}
    return {"where": _condition(filters) if "operator" in filters else filters}


def _condition(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Haystack's filter as one of ours.

    Raises:
        UsageError: an operator that ours have none for.
    """
    operator = str(filters.get("operator"))
    if operator == "NOT":
        return {"not": {"and": [_condition(one) for one in filters["conditions"]]}}
    if operator in _JOINED:
        return {_JOINED[operator]: [_condition(one) for one in filters["conditions"]]}
    name, value = str(filters.get("field")).removeprefix("meta."), filters.get("value")
    if operator in ("!=", "not in"):
        return {"not": {name: {"in": value} if operator == "not in" else value}}
    if operator not in _OPERATORS:
        raise UsageError(f"a filter with {operator!r} is not understood", hint="Use ==, !=, >=, <=, in, not in.")
    return {name: {_OPERATORS[operator]: value}}
