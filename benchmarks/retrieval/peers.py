"""Other libraries, each as a function that indexes and one that opens; ImportError where one is not installed.

Those without complete types are handled as Any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coa.documents import Document
from coa.retrieval.base import Embedding, Entry, Record, Store
from coa.retrieval.lance.store import LanceStore
from coa.retrieval.sqlite.store import SQLiteStore

Terms = Callable[[str], list[str]]


def _bm25s(texts: Sequence[str], terms: Terms) -> Callable[[str], object]:
    index: Any = import_module("bm25s").BM25()
    index.index([terms(text) for text in texts], show_progress=False)
    return lambda query: index.retrieve([terms(query)], k=10, show_progress=False)


def _langchain_bm25(texts: Sequence[str], terms: Terms) -> Callable[[str], object]:
    retriever: Any = import_module("langchain_community.retrievers").BM25Retriever
    return retriever.from_texts(texts, preprocess_func=terms, k=10).invoke


def _txtai(texts: Sequence[str], terms: Terms) -> Callable[[str], object]:
    scoring: Any = import_module("txtai.scoring").ScoringFactory.create({"method": "bm25", "terms": True})
    scoring.index((i, terms(text), None) for i, text in enumerate(texts))
    return lambda query: scoring.search(terms(query), 10)


LEXICAL: dict[str, Callable[[Sequence[str], Terms], Callable[[str], object]]] = {
    "bm25s (the same units and terms; in memory, rebuilt for every change)": _bm25s,
    "LangChain BM25Retriever (rank_bm25; the same units and terms; in memory)": _langchain_bm25,
    "txtai BM25 (the same units and terms)": _txtai,
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
    faiss: Any = import_module("langchain_community.vectorstores").FAISS
    texts = [f"unit {i}" for i in range(len(matrix))]
    faiss.from_embeddings(zip(texts, matrix.tolist(), strict=True), _fake()).save_local(folder)


def _open_langchain() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    faiss: Any = import_module("langchain_community.vectorstores").FAISS

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = faiss.load_local(folder, _fake(), allow_dangerous_deserialization=True)
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


def _txtai_faiss(matrix: NDArray[np.float32], folder: str) -> None:
    index: Any = import_module("txtai.ann").ANNFactory.create({"backend": "faiss", "dimensions": matrix.shape[1]})
    index.index(matrix.copy())
    index.save(f"{folder}/ann")


def _open_txtai() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    factory: Any = import_module("txtai.ann").ANNFactory

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        index: Any = factory.create({"backend": "faiss", "dimensions": 384})
        index.load(f"{folder}/ann")
        return lambda vector: index.search(vector[None, :].copy(), 10)

    return opened


def chonkie(text: str, most: int) -> int:
    """Cut a text with chonkie's SentenceChunker; how many pieces."""
    chunker: Any = import_module("chonkie").SentenceChunker(tokenizer="character", chunk_size=most, chunk_overlap=0)
    return len(chunker.chunk(text))


def filled(store: Store, blocks: Iterable[NDArray[np.float32]], dimensions: int) -> None:
    """Put vectors into a store, a document a block; the units have no words."""
    store.claim(Embedding(name="given", fingerprint="given:1", dimensions=dimensions))
    for number, block in enumerate(blocks):
        document = Document(id=str(number), path=str(number), text=". " * len(block), sha256=str(number))
        entries = [Entry(start=2 * i, end=2 * i + 1) for i in range(len(block))]
        store.put([Record(document=document, entries=entries)])
        store.set_vectors([unit.id for unit in store.lacking(len(block))], block)
    store.compact()
    store.close()


def _own(matrix: NDArray[np.float32], folder: str) -> None:
    filled(SQLiteStore(folder, create=True), [matrix], matrix.shape[1])


def _lance(matrix: NDArray[np.float32], folder: str) -> None:
    filled(LanceStore(f"lancedb://{folder}", create=True), [matrix], matrix.shape[1])


def _open_own() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    import_module("faiss")

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = SQLiteStore(folder)
        return lambda vector: store.units(list(store.search_dense(vector, 10)))

    return opened


def _open_lance() -> Callable[[str], Callable[[NDArray[np.float32]], object]]:
    import_module("lancedb")

    def opened(folder: str) -> Callable[[NDArray[np.float32]], object]:
        store = LanceStore(f"lancedb://{folder}")
        return lambda vector: store.units(list(store.search_dense(vector, 10)))

    return opened


DENSE: dict[str, Callable[[NDArray[np.float32], str], None]] = {
    "coa (mapped IVF, SQ8, exact scores)": _own,
    "coa over LanceDB (IVF, SQ8, refined)": _lance,
    "LangChain FAISS (flat, pickled texts)": _langchain,
    "LlamaIndex SimpleVectorStore (JSON)": _llama,
    "txtai's FAISS index (its own choice of kind; vectors alone, no texts)": _txtai_faiss,
}
OPEN: dict[str, Callable[[], Callable[[str], Callable[[NDArray[np.float32]], object]]]] = {
    "coa (mapped IVF, SQ8, exact scores)": _open_own,
    "coa over LanceDB (IVF, SQ8, refined)": _open_lance,
    "LangChain FAISS (flat, pickled texts)": _open_langchain,
    "LlamaIndex SimpleVectorStore (JSON)": _open_llama,
    "txtai's FAISS index (its own choice of kind; vectors alone, no texts)": _open_txtai,
}


def _langchain_embeds(model: Any, texts: Sequence[str]) -> None:
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore

    class Model(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return model.encode(texts).tolist()

        def embed_query(self, text: str) -> list[float]:
            return model.encode([text])[0].tolist()

    InMemoryVectorStore(Model()).add_texts(list(texts))


def _llama_embeds(model: Any, texts: Sequence[str]) -> None:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.schema import TextNode

    class Model(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return model.encode([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return model.encode(texts).tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return model.encode([query])[0].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return model.encode([query])[0].tolist()

    VectorStoreIndex([TextNode(text=text) for text in texts], embed_model=Model())


EMBED: dict[str, Callable[[Any, Sequence[str]], None]] = {
    "LangChain InMemoryVectorStore over the same model": _langchain_embeds,
    "LlamaIndex VectorStoreIndex over the same model (batches of 10, its default)": _llama_embeds,
}
