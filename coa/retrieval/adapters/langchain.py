"""LangChain (``langchain-core``): an index as a `BaseRetriever`, and any of its retrievers here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field

from coa.documents import Document
from coa.retrieval.adapters.ours import Offer, about, name_of
from coa.retrieval.adapters.theirs import Found, Placed
from coa.retrieval.base import Hit, Retriever


class LangChainRetriever(BaseRetriever):
    """A retriever of ours for LangChain: ``invoke``, ``ainvoke``, chains and agents.

    A document's ``page_content`` is the passage to the letter; its metadata say ``source``, ``doc``, ``start_index``,
    ``end_index``, ``page``, ``section``, ``score``, the score of each part, and the passage's own fields.

    Attributes:
        retriever: What searches; any `coa.retrieval.base.Retriever`.
        k: Passages at most.
        tokens: See `coa.retrieval.adapters.ours.Offer`.
        options: Likewise.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    retriever: Retriever
    k: int = 10
    tokens: int | None = None
    options: Mapping[str, Any] = Field(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Refuse switches that the retriever does not have."""
        self._offer()

    def _offer(self) -> Offer:
        return Offer(retriever=self.retriever, k=self.k, tokens=self.tokens, options=self.options)

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[LangChainDocument]:
        return [_document(hit) for hit in self._offer().find(query)]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[LangChainDocument]:
        return [_document(hit) for hit in await self._offer().search(query)]


class FromLangChain:
    """A retriever of LangChain's as a `coa.retrieval.base.Retriever`, for chains and writers.

    Args:
        retriever: Any ``BaseRetriever``, such as ``vectorstore.as_retriever()``.
        documents: What its store was made from, as `coa.load` gives them: hits are placed in them.
    """

    def __init__(self, retriever: BaseRetriever, documents: Iterable[Document]) -> None:
        self._retriever, self._placed = retriever, Placed(documents, "langchain")

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most; how many it finds is LangChain's own setting."""
        return self._placed.hits([_found(one) for one in await self._retriever.ainvoke(query)], k)


def _document(hit: Hit) -> LangChainDocument:
    return LangChainDocument(id=name_of(hit), page_content=hit.text, metadata={**about(hit), "score": hit.score})


def _found(document: LangChainDocument) -> Found:
    said = cast("dict[str, Any]", document.metadata)
    start, score = said.get("start_index"), said.get("score")
    return Found(
        text=document.page_content,
        names=[str(said[name]) for name in ("doc", "source") if name in said],
        start=start if isinstance(start, int) else None,
        score=float(score) if isinstance(score, int | float) else None,
    )
