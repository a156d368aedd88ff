"""Adapters: our retrievers in LangChain, LlamaIndex and Haystack, and theirs in chains and writers here."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import coa
from coa.documents import Document
from coa.errors import MissingExtra, UsageError
from coa.retrieval.adapters.theirs import Found, Placed
from coa.retrieval.base import Hit, Retriever
from coa.retrieval.index import Index
from coa.retrieval.terms import terms
from coa.testing import check_retriever

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
LOG = Path(__file__).parents[2] / "examples" / "documents" / "lighthouse_log.txt"
QUERY = "Who keeps the light on Gull Stack?"
ANSWER = "Martha Quill"
DIMENSIONS = 512


def bag(text: str) -> list[float]:
    """Words hashed into a vector: an embedding that needs no model."""
    vector = np.zeros(DIMENSIONS)
    for term in terms(text):
        vector[int(hashlib.sha256(term.encode()).hexdigest(), 16) % DIMENSIONS] += 1
    return (vector / max(1.0, float(np.linalg.norm(vector)))).tolist()


class Plain:
    """A retriever that is no index: async alone."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def search(self, query: str, k: int) -> list[Hit]:
        return await self._index.search(query, k)


@pytest.fixture(scope="module")
def log() -> Document:
    return coa.load(LOG)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return coa.index(LOG, tmp_path_factory.mktemp("lib"))


def paragraphs(document: Document) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    at = 0
    for part in document.text.split("\n\n"):
        if part.strip():
            found.append((at, part))
        at += len(part) + 2
    return found


# LangChain


def langchain_store(documents: Sequence[Document], most: int = 10, *, places: bool = True) -> Any:
    from langchain_core.documents import Document as Theirs
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Bag(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [bag(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return bag(text)

    store = InMemoryVectorStore(Bag())
    store.add_documents(
        [
            Theirs(page_content=part, metadata={"source": document.path} | ({"start_index": at} if places else {}))
            for document in documents
            for at, part in paragraphs(document)
        ]
    )
    return store.as_retriever(search_kwargs={"k": most})


def test_langchain_reads_our_index_in_both_worlds(index: Index, log: Document) -> None:
    from coa.retrieval.adapters.langchain import LangChainRetriever

    retriever = LangChainRetriever(retriever=index, k=5)
    here = index.find(QUERY, 5)
    found = retriever.invoke(QUERY)
    assert [(one.page_content, one.metadata["start_index"]) for one in found] == [(h.text, h.span.start) for h in here]
    assert all(log.text[d.metadata["start_index"] : d.metadata["end_index"]] == d.page_content for d in found)
    assert found[0].metadata["source"] == str(LOG)
    assert found[0].metadata["score"] == here[0].score
    assert found[0].metadata["score_bm25"] > 0
    json.dumps([one.metadata for one in found])
    assert asyncio.run(retriever.ainvoke(QUERY)) == found
    chained = retriever | (lambda documents: documents[0].page_content)
    assert chained.invoke(QUERY) == here[0].text
    assert [one.page_content for one in LangChainRetriever(retriever=Plain(index), k=5).invoke(QUERY)] == [
        h.text for h in here
    ]


def test_a_budget_gives_passages_in_the_order_of_the_document(index: Index, log: Document) -> None:
    from coa.retrieval.adapters.langchain import LangChainRetriever

    found = LangChainRetriever(retriever=index, k=20, tokens=600, options={"mode": "bm25"}).invoke(QUERY)
    starts = [one.metadata["start_index"] for one in found]
    assert len(starts) > 1
    assert starts == sorted(starts)
    assert all(log.text[d.metadata["start_index"] : d.metadata["end_index"]] == d.page_content for d in found)
    with pytest.raises(UsageError):
        LangChainRetriever(retriever=Plain(index), tokens=600)
    with pytest.raises(UsageError):
        LangChainRetriever(retriever=index, options={"mode": "dense"}).invoke(QUERY)


async def test_a_retriever_of_langchains_conforms() -> None:
    from coa.retrieval.adapters.langchain import FromLangChain

    async def over(documents: Sequence[Document]) -> Retriever:
        return FromLangChain(langchain_store(documents), documents)

    await check_retriever(over)


async def test_our_own_there_and_back_conforms(tmp_path: Path) -> None:
    from coa.retrieval.adapters.langchain import FromLangChain, LangChainRetriever

    async def over(documents: Sequence[Document]) -> Retriever:
        index = Index.create(tmp_path / "lib")
        index.add(documents)
        return FromLangChain(LangChainRetriever(retriever=index), documents)

    await check_retriever(over)


def test_a_chain_reads_what_langchain_found(log: Document) -> None:
    from coa.retrieval.adapters.langchain import FromLangChain

    found = FromLangChain(langchain_store([log], places=False), [log])
    answer = coa.ask(log, QUERY, retrieve=800, found=found, model="offline", journal=False)
    assert ANSWER in answer.text
    assert all(log.read(one.span) == one.quote for one in answer.citations)
    assert "the rest was not retrieved" in " ".join(answer.warnings)
    with pytest.raises(UsageError):
        coa.ask(log, QUERY, found=found, model="offline", journal=False)


def test_a_writer_cites_what_langchain_found(log: Document) -> None:
    from coa.retrieval.adapters.langchain import FromLangChain

    found = FromLangChain(langchain_store([log]), [log])
    written = coa.write("The light on Gull Stack", words=200, source=log, found=found, model="offline", journal=False)
    assert written.citations
    assert all(log.read(one.span) == one.quote for one in written.citations)


# Placing


def test_texts_are_put_in_their_place_or_left_out(log: Document, caplog: pytest.LogCaptureFixture) -> None:
    other = Document(id="other", path="folder/other.txt", text="Said twice.\n\nSaid  twice.  Said once.", sha256="1")
    placed = Placed([log, other], "peer")
    assert [h.span for h in placed.hits([Found(text="Said twice.", start=0, names=["other"])], 5)] == [
        other.span(0, 11)
    ]
    (blanks,) = placed.hits([Found(text="Said twice. Said once.", names=["other.txt"])], 5)
    assert blanks.text == "Said  twice.  Said once."
    wrong = Found(text="Said once.", start=3, names=["lighthouse_log.txt"], score=0.25)
    (hit,) = placed.hits([wrong], 5)
    assert (hit.text, hit.span.doc, hit.parts) == ("Said once.", "other", {"peer": 0.25})
    assert (
        placed.hits([Found(text="Nobody said this."), Found(text="  "), Found(text="Said once.")], 5)[0]
        == placed.hits([Found(text="Said once.")], 5)[0]
    )
    assert "stands in none" in caplog.text
    with pytest.raises(UsageError):
        placed.hits([], 0)
    with pytest.raises(UsageError):
        Placed([], "peer")


def test_without_its_library_an_adapter_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['haystack'] = None\nsys.modules['llama_index'] = None\n"
        "from coa.errors import MissingExtra\n"
        "for name in ('haystack', 'llamaindex'):\n"
        "    try:\n        __import__('coa.retrieval.adapters.' + name)\n"
        "    except MissingExtra as error:\n        print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split("\n")[:2] == ["pip install haystack-ai", "pip install llama-index-core"], done.stderr
    assert issubclass(MissingExtra, UsageError)


# LlamaIndex


def llama_retriever(documents: Sequence[Document], most: int = 10) -> Any:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode

    class Bag(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return bag(text)

        def _get_query_embedding(self, query: str) -> list[float]:
            return bag(query)

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return bag(query)

    nodes = [
        TextNode(
            text=part,
            start_char_idx=at,
            end_char_idx=at + len(part),
            relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=document.id)},
        )
        for document in documents
        for at, part in paragraphs(document)
    ]
    return VectorStoreIndex(nodes, embed_model=Bag()).as_retriever(similarity_top_k=most)


@pytest.mark.slow
def test_llamaindex_reads_our_index_in_both_worlds(index: Index, log: Document) -> None:
    pytest.importorskip("llama_index.core")
    from llama_index.core import Settings
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.response_synthesizers import ResponseMode

    from coa.retrieval.adapters.llamaindex import LlamaIndexRetriever

    retriever = LlamaIndexRetriever(index, k=5)
    here = index.find(QUERY, 5)
    found = retriever.retrieve(QUERY)
    assert [(one.node.start_char_idx, one.score) for one in found] == [(h.span.start, h.score) for h in here]
    assert all(log.text[n.node.start_char_idx : n.node.end_char_idx] == n.node.get_content() for n in found)
    assert all(one.node.ref_doc_id == log.id for one in found)
    again = asyncio.run(retriever.aretrieve(QUERY))
    assert [one.node.node_id for one in again] == [one.node.node_id for one in found]
    Settings.llm = MockLLM()
    engine = RetrieverQueryEngine.from_args(retriever, response_mode=ResponseMode.NO_TEXT)
    answer = engine.query(QUERY)
    assert [one.node.node_id for one in answer.source_nodes] == [one.node.node_id for one in found]


@pytest.mark.slow
async def test_a_retriever_of_llamaindexs_conforms(log: Document) -> None:
    pytest.importorskip("llama_index.core")
    from coa.retrieval.adapters.llamaindex import FromLlamaIndex

    async def over(documents: Sequence[Document]) -> Retriever:
        return FromLlamaIndex(llama_retriever(documents), documents)

    await check_retriever(over)
    found = await over([log])
    answer = await coa.aio.ask(log, QUERY, retrieve=800, found=found, model="offline", journal=False)
    assert ANSWER in answer.text


# Haystack


def haystack_retriever(documents: Sequence[Document]) -> Any:
    import haystack
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore()
    store.write_documents(
        [
            haystack.Document(content=part, meta={"source_id": document.id, "split_idx_start": at})
            for document in documents
            for at, part in paragraphs(document)
        ]
    )
    return InMemoryBM25Retriever(store)


@pytest.mark.slow
def test_a_pipeline_of_haystacks_reads_our_index_and_is_saved(tmp_path: Path, log: Document) -> None:
    haystack = pytest.importorskip("haystack")
    from coa.retrieval.adapters.haystack import HaystackRetriever

    index = coa.index(LOG, tmp_path / "lib")
    other = Document(id="other", path="other.txt", text="The keeper of another light.", sha256="1")
    index.add([other], fields={"year": 1900})
    here = index.find(QUERY, 3)
    pipeline = haystack.Pipeline()
    pipeline.add_component("find", HaystackRetriever(str(tmp_path / "lib"), top_k=3))
    again = haystack.Pipeline.loads(pipeline.dumps(), allowed_modules=[HaystackRetriever.__module__])
    for one in (pipeline, again):
        found = one.run({"find": {"query": QUERY}})["find"]["documents"]
        assert [(d.content, d.score) for d in found] == [(h.text, h.score) for h in here]
        assert all(log.text[d.meta["start_index"] : d.meta["end_index"]] == d.content for d in found)
    component = HaystackRetriever(index)
    found = asyncio.run(component.run_async(query="keeper", top_k=5))["documents"]
    assert found == component.run(query="keeper", top_k=5)["documents"]
    for filters in (
        {"field": "meta.year", "operator": "==", "value": 1900},
        {"operator": "AND", "conditions": [{"field": "meta.year", "operator": ">=", "value": 1900}]},
        {"operator": "NOT", "conditions": [{"field": "meta.doc", "operator": "!=", "value": "other"}]},
        {"year": {"gte": 1899}},
    ):
        assert [d.content for d in component.run(query="keeper", filters=filters)["documents"]] == [other.text]
    with pytest.raises(UsageError):
        component.run(query="keeper", filters={"field": "meta.year", "operator": "like", "value": 1})
    with pytest.raises(UsageError):
        component.to_dict()


@pytest.mark.slow
async def test_a_retriever_of_haystacks_conforms(log: Document) -> None:
    pytest.importorskip("haystack")
    from coa.retrieval.adapters.haystack import FromHaystack, HaystackRetriever

    async def over(documents: Sequence[Document]) -> Retriever:
        return FromHaystack(haystack_retriever(documents), documents)

    await check_retriever(over)
    found = await over([log])
    answer = await coa.aio.ask(log, QUERY, retrieve=800, found=found, model="offline", journal=False)
    assert ANSWER in answer.text
    assert HaystackRetriever(found).run(query="keeper", top_k=2)["documents"][0].meta["start_index"] >= 0
