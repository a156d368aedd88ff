"""LlamaIndex (``llama-index-core``): an index as a `BaseRetriever`, and any of its retrievers here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from coa.documents import Document
from coa.retrieval.adapters.extra import required
from coa.retrieval.adapters.ours import Offer, about, name_of
from coa.retrieval.adapters.theirs import Found, Placed
from coa.retrieval.base import Hit, Retriever

_base: Any = required("llama_index.core.base.base_retriever", "llama-index-core").BaseRetriever
_schema: Any = required("llama_index.core.schema", "llama-index-core")


class LlamaIndexRetriever(_base):
    """A retriever of ours for LlamaIndex: ``retrieve``, ``aretrieve``, query engines.

    A node's text is the passage to the letter, ``start_char_idx`` and ``end_char_idx`` its place in the document that
    ``ref_doc_id`` names; its metadata are as in `coa.retrieval.adapters.ours.about`.

    Args:
        retriever: What searches; any `coa.retrieval.base.Retriever`.
        k: Passages at most.
        tokens: See `coa.retrieval.adapters.ours.Offer`.
        options: Likewise.
        **more: Of LlamaIndex's ``BaseRetriever``.
    """

    def __init__(
        self,
        retriever: Retriever,
        *,
        k: int = 10,
        tokens: int | None = None,
        options: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self._offer = Offer(retriever=retriever, k=k, tokens=tokens, options=options or {})
        _base.__init__(self, **more)

    def _retrieve(self, query_bundle: Any) -> list[Any]:
        return [_node(hit) for hit in self._offer.find(query_bundle.query_str)]

    async def _aretrieve(self, query_bundle: Any) -> list[Any]:
        return [_node(hit) for hit in await self._offer.search(query_bundle.query_str)]


class FromLlamaIndex:
    """A retriever of LlamaIndex's as a `coa.retrieval.base.Retriever`, for chains and writers.

    Args:
        retriever: Any ``BaseRetriever``, such as ``index.as_retriever(similarity_top_k=20)``.
        documents: What its index was made from, as `coa.load` gives them: hits are placed in them.
    """

    def __init__(self, retriever: Any, documents: Iterable[Document]) -> None:
        self._retriever, self._placed = retriever, Placed(documents, "llamaindex")

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most; how many it finds is LlamaIndex's own setting."""
        return self._placed.hits([_found(one) for one in await self._retriever.aretrieve(query)], k)


def _node(hit: Hit) -> Any:
    of = {_schema.NodeRelationship.SOURCE: _schema.RelatedNodeInfo(node_id=hit.span.doc)}
    node = _schema.TextNode(
        id_=name_of(hit),
        text=hit.text,
        metadata=about(hit),
        start_char_idx=hit.span.start,
        end_char_idx=hit.span.end,
        relationships=of,
    )
    return _schema.NodeWithScore(node=node, score=hit.score)


def _found(scored: Any) -> Found:
    node = scored.node
    said = node.metadata
    names = [node.ref_doc_id, *(said.get(name) for name in ("doc", "source", "file_path", "file_name"))]
    score = scored.score
    return Found(
        text=node.get_content(),
        names=[str(name) for name in names if name],
        start=getattr(node, "start_char_idx", None),
        score=None if score is None else float(score),
    )
