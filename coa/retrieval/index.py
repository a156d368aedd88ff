"""`Index`: documents in, passages out; the `Retriever` of this library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from coa.documents import Document, LoadFailure
from coa.retrieval.base import Embedding, Hit, Mode, Record, Store, Value
from coa.retrieval.context import Context, build, hit
from coa.retrieval.embedders import Embedder, resolve_embedder
from coa.retrieval.embedding import embed_units
from coa.retrieval.entries import record
from coa.retrieval.filters import condition
from coa.retrieval.ranking import Ranker, Ranking
from coa.retrieval.stores import open_store
from coa.retrieval.summaries import Summary, add_summaries
from coa.retrieval.whole import DocumentHit, DocumentRanker
from coa.types import Source

Progress = Callable[[Document, bool], None]
"""Told of each document, and whether it was new or changed."""

Filled = Callable[[int, int], None]
"""Told how many units got their vectors, of how many."""

_UNITS_A_COMMIT = 2_000
_VECTORS_A_COMMIT = 512


class Index:
    """An index in a folder or on a server: open it with `Index.open`, make or extend it with `Index.create`.

    Attributes:
        failures: What `coa.index` was given and could not load.
    """

    def __init__(self, store: Store, embedder: Embedder | None = None) -> None:
        self._store, self._embedder = store, embedder
        self.failures: tuple[LoadFailure, ...] = ()

    @classmethod
    def create(cls, folder: str | Path, *, embedder: str | Embedder | None = None) -> Index:
        """Open an index for writing; it is made where there is none.

        Args:
            folder: Where the index is, or shall be; see `coa.retrieval.stores.open_store`.
            embedder: ``minilm``, a model's folder, or an object; None indexes words only, or goes on with the index's
                own. An index of words only gets vectors with the next `add` or `fill`.

        Raises:
            UnusableIndex: the folder is no index, or its vectors are another embedder's.
            MissingExtra: the embedder is not installed.
        """
        return cls._over(open_store(folder, create=True), embedder)

    @classmethod
    def open(cls, folder: str | Path, *, embedder: Embedder | None = None) -> Index:
        """Open an index to search it.

        Args:
            folder: Where it is.
            embedder: The object that made its vectors, where no name leads to it.

        Raises:
            UnusableIndex: the folder is no index, or its vectors are another embedder's.
            MissingExtra: its embedder is not installed.
        """
        return cls._over(open_store(folder), embedder)

    @classmethod
    def _over(cls, store: Store, embedder: str | Embedder | None) -> Index:
        try:
            return cls(store, _matching(store, embedder))
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Release the files."""
        self._store.close()

    @property
    def store(self) -> Store:
        """Where everything is kept."""
        return self._store

    @property
    def sources(self) -> list[Source]:
        """The documents of the index."""
        return self._store.sources()

    def add(
        self,
        documents: Sequence[Document],
        progress: Progress | None = None,
        *,
        fields: Mapping[str, Value] | None = None,
        filled: Filled | None = None,
    ) -> int:
        """Index documents; one whose path and content are known is left as it is. Returns how many were indexed.

        Words first, some thousand units a commit, then vectors, some hundred a commit: a killed process loses the
        commit it was at, and the same call goes on from there.

        Args:
            documents: What to index.
            progress: Told of each document.
            fields: What to say about every unit, for filters.
            filled: Told of the vectors.

        Raises:
            UsageError: a field's name cannot be one.
            StorageFailed: the index cannot be written.
        """
        known = {source.path: source.sha256 for source in self.sources}
        added = 0
        for batch in _batches(documents, known, fields):
            changed = [entry for _, entry in batch if entry is not None]
            if changed:
                self._store.put(changed)
                added += len(changed)
            if progress is not None:
                for document, entry in batch:
                    progress(document, entry is not None)
        self.fill(filled)
        return added

    def fill(self, filled: Filled | None = None) -> int:
        """Give vectors to the units that have none; how many got one."""
        if self._embedder is None:
            return 0
        done, total = 0, self._store.waiting()
        while units := self._store.lacking(_VECTORS_A_COMMIT):
            vectors = embed_units(self._embedder, self._store, units)
            self._store.set_vectors([unit.id for unit in units], vectors)
            done += len(units)
            if filled is not None:
                filled(done, total)
        if done and self._store.stale:
            self._store.compact()
        return done

    def add_summaries(self, summaries: Sequence[Summary]) -> int:
        """Put what workers wrote beside the passages it is about; see `coa.retrieval.summaries`. How many were new."""
        added = add_summaries(self._store, summaries)
        self.fill()
        return added

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        return self._store.remove(path)

    def compact(self) -> None:
        """Give back what deleted units held, and build what makes a large index fast."""
        self._store.compact()

    async def search(self, query: str, k: int = 10, **options: Any) -> list[Hit]:
        """The ``k`` best passages at most, best first; options as in `find`."""
        return await asyncio.to_thread(self.find, query, k, **options)

    def find(
        self,
        query: str | Sequence[str],
        k: int = 10,
        *,
        mode: Mode | None = None,
        where: Mapping[str, Any] | None = None,
        how: Ranking | None = None,
    ) -> list[Hit]:
        """The ``k`` best passages at most, best first.

        Args:
            query: Words or a question; or several ways of asking for the same.
            k: How many.
            mode: ``bm25``, ``dense`` or ``hybrid``; the default is hybrid where the index has vectors, BM25 otherwise.
            where: Only passages that meet it; see `coa.retrieval.filters`.
            how: More switches; see `coa.retrieval.ranking.Ranking`.

        Raises:
            UsageError: an empty query, ``k`` below 1, a dense search without vectors, a filter that is none.
        """
        how = how or Ranking()
        how = replace(how, mode=mode) if mode is not None else how
        wanted = None if where is None else condition(where)
        queries = [query] if isinstance(query, str) else list(query)
        ranked = Ranker(self._store, self._embedder).rank(queries, k, how, wanted)
        units = {unit.id: unit for unit in self._store.units([one.unit for one in ranked])}
        return [hit(units[one.unit], one.score, one.parts) for one in ranked if one.unit in units]

    def rank_documents(
        self,
        query: str | Sequence[str],
        k: int = 10,
        *,
        mode: Mode | None = None,
        where: Mapping[str, Any] | None = None,
        passages: int = 3,
    ) -> list[DocumentHit]:
        """The ``k`` documents at most that the query is about, best first, each with its best passages.

        Args:
            query: What a document should be about, a few words or a whole summary; or several of these.
            k: How many.
            mode: ``bm25``, ``dense`` or ``hybrid``; the default is hybrid where the index has vectors, BM25 otherwise.
            where: Only passages that meet it count; see `coa.retrieval.filters`.
            passages: How many of each document to show as evidence.

        Raises:
            UsageError: an empty query, ``k`` below 1, a dense search without vectors, a filter that is none.
        """
        wanted = None if where is None else condition(where)
        queries = [query] if isinstance(query, str) else list(query)
        ranked = DocumentRanker(self._store, self._embedder).rank(queries, k, mode, wanted)
        paths = {source.id: source.path for source in self.sources} if ranked else {}
        found: list[DocumentHit] = []
        for one in ranked:
            inside = {"doc": one.doc} if where is None else {"and": [{"doc": one.doc}, dict(where)]}
            hits = self.find(queries, passages, mode=mode, where=inside) if passages > 0 else []
            path = paths.get(one.doc, "")
            found.append(DocumentHit(doc=one.doc, path=path, score=one.score, parts=one.parts, hits=tuple(hits)))
        return found

    def context(self, hits: Sequence[Hit], tokens: int, **options: Any) -> Context:
        """Text for a model: the passages that fit, in the order of the documents; see `coa.retrieval.context.build`."""
        return build(self._store, hits, tokens, **options)


def _batches(
    documents: Sequence[Document], known: Mapping[str, str], fields: Mapping[str, Value] | None
) -> Iterator[list[tuple[Document, Record | None]]]:
    """Documents with their records, None for those that are known, some thousand units at a time."""
    batch: list[tuple[Document, Record | None]] = []
    units = 0
    for document in documents:
        entry = None if known.get(document.path) == document.sha256 else record(document, fields)
        batch.append((document, entry))
        units += len(entry.entries) if entry is not None else 0
        if units >= _UNITS_A_COMMIT:
            yield batch
            batch, units = [], 0
    if batch:
        yield batch


def _matching(store: Store, wanted: str | Embedder | None) -> Embedder | None:
    """The embedder that this index was made with; one without takes the one that is wanted."""
    known = store.embedding
    name = wanted if wanted is not None else known and known.name
    if not name:
        return None
    embedder = resolve_embedder(name) if isinstance(name, str) else name
    if known is None or known.fingerprint != embedder.fingerprint:
        store.claim(Embedding(name=embedder.name, fingerprint=embedder.fingerprint, dimensions=embedder.dimensions))
    return embedder
