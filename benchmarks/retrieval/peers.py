"""Other libraries, each as a function that indexes and one that opens; ImportError where one is not installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Terms = Callable[[str], list[str]]


def _bm25s(texts: Sequence[str], terms: Terms) -> Callable[[str], object]:
    import bm25s

    index = bm25s.BM25()
    index.index([terms(text) for text in texts], show_progress=False)
    return lambda query: index.retrieve([terms(query)], k=10, show_progress=False)


def _langchain_bm25(texts: Sequence[str], terms: Terms) -> Callable[[str], object]:
    from langchain_community.retrievers import BM25Retriever

    return BM25Retriever.from_texts(texts, preprocess_func=terms, k=10).invoke


LEXICAL: dict[str, Callable[[Sequence[str], Terms], Callable[[str], object]]] = {
    "bm25s (the same units and terms; in memory, rebuilt for every change)": _bm25s,
    "LangChain BM25Retriever (rank_bm25; the same units and terms; in memory)": _langchain_bm25,
}


def _nobody(_: Any) -> Any:
    raise AssertionError("vectors are given; nothing is embedded here")


def _fake() -> Any:
    from langchain_core.embeddings import Embeddings

    class Given(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return _nobody(texts)

        def embed_query(self, text: str) -> list[float]:
            return _nobody(text)

    return Given()


def _langchain(matrix: NDArray[np.float32], folder: str) -> None:
    from langchain_community.vectorstores import FAISS

    texts = [f"unit {i}" for i in range(len(matrix))]
    FAISS.from_embeddings(zip(texts, matrix.tolist(), strict=True), _fake()).save_local(folder)


def _open_langchain() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    from langchain_community.vectorstores import FAISS

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = FAISS.load_local(folder, _fake(), allow_dangerous_deserialization=True)
        return lambda vector: store.similarity_search_by_vector(vector.tolist(), k=10)

    return opened


def _llama(matrix: NDArray[np.float32], folder: str) -> None:
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import SimpleVectorStore

    store = SimpleVectorStore()
    store.add([TextNode(id_=str(i), text=f"unit {i}", embedding=row) for i, row in enumerate(matrix.tolist())])
    store.persist(f"{folder}/store.json")


def _open_llama() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    from llama_index.core.vector_stores import SimpleVectorStore
    from llama_index.core.vector_stores.types import VectorStoreQuery

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = SimpleVectorStore.from_persist_path(f"{folder}/store.json")
        return lambda vector: store.query(VectorStoreQuery(query_embedding=vector.tolist(), similarity_top_k=10))

    return opened


def _own(matrix: NDArray[np.float32], folder: str) -> None:
    from coa.documents import Document
    from coa.retrieval.base import Embedding, Entry, Record
    from coa.retrieval.sqlite.store import SQLiteStore

    store = SQLiteStore(folder, create=True)
    store.claim(Embedding(name="given", fingerprint="given:1", dimensions=matrix.shape[1]))
    text = "x " * len(matrix)
    entries = [Entry(start=2 * i, end=2 * i + 1) for i in range(len(matrix))]
    store.put([Record(document=Document(id="d", path="d", text=text, sha256="1"), entries=entries)])
    store.set_vectors([unit.id for unit in store.lacking(len(matrix))], matrix)
    store.compact()
    store.close()


def _open_own() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    import faiss  # noqa: F401

    from coa.retrieval.sqlite.store import SQLiteStore

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = SQLiteStore(folder)
        return lambda vector: store.units(list(store.search_dense(vector, 10)))

    return opened


DENSE: dict[str, Callable[[NDArray[np.float32], str], None]] = {
    "coa (mapped IVF, SQ8, exact scores)": _own,
    "LangChain FAISS (flat, pickled texts)": _langchain,
    "LlamaIndex SimpleVectorStore (JSON)": _llama,
}
OPEN: dict[str, Callable[[], Callable[[str], Callable[[NDArray[np.float32]], object]]]] = {
    "coa (mapped IVF, SQ8, exact scores)": _open_own,
    "LangChain FAISS (flat, pickled texts)": _open_langchain,
    "LlamaIndex SimpleVectorStore (JSON)": _open_llama,
}
