"""`Index`: documents in, passages out; the `Retriever` of this library.

The default search is hybrid: BM25, shared with the neighbours of a unit because an answer often stands beside the words
of its question, and the cosine of embeddings, each turned into z-scores over the union of the candidates, then added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from coa.documents import Document
from coa.errors import UnusableIndex, UsageError
from coa.retrieval.base import Hit, Mode
from coa.retrieval.embedders import Embedder, resolve_embedder
from coa.retrieval.store import Entry, Store
from coa.retrieval.terms import terms
from coa.retrieval.units import unit_spans
from coa.types import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Progress = Callable[[Document, bool], None]
"""Told of each document, and whether it was new or changed."""

_CANDIDATES = 200
_NEIGHBOUR = 0.3


class Index:
    """An index in a folder: open it with `Index.open`, make or extend it with `Index.create`."""

    def __init__(self, store: Store, embedder: Embedder | None) -> None:
        self._store, self._embedder = store, embedder
        self._vectors: tuple[int, list[int], NDArray[np.float32]] | None = None

    @classmethod
    def create(cls, folder: str | Path, *, embedder: str | None = None) -> Index:
        """Open a folder for writing; it is made where there is none.

        Args:
            folder: Where the index is, or shall be.
            embedder: ``minilm``, or a model's folder; None indexes words only, or goes on with the index's own.

        Raises:
            UnusableIndex: the folder is no index, or its vectors are another embedder's.
            MissingExtra: the embedder is not installed.
        """
        store = Store(Path(folder), create=True)
        try:
            return cls(store, _matching(store, embedder))
        except BaseException:
            store.close()
            raise

    @classmethod
    def open(cls, folder: str | Path) -> Index:
        """Open an index to search it.

        Raises:
            UnusableIndex: the folder is no index.
            MissingExtra: its embedder is not installed.
        """
        store = Store(Path(folder))
        return cls(store, _matching(store, None))

    def close(self) -> None:
        """Release the file."""
        self._store.close()

    @property
    def sources(self) -> list[Source]:
        """The documents of the index."""
        return self._store.sources()

    def add(self, documents: Sequence[Document], progress: Progress | None = None) -> int:
        """Index documents; one whose path and content are known is left as it is. Returns how many were indexed.

        Each document is committed as a whole: a killed process loses the one it was at.
        """
        known = {source.path: source.sha256 for source in self.sources}
        added = 0
        for document in documents:
            changed = known.get(document.path) != document.sha256
            if changed:
                self._store.put(document, self._entries(document))
                added += 1
            if progress is not None:
                progress(document, changed)
        return added

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        return self._store.remove(path)

    async def search(self, query: str, k: int = 10, *, mode: Mode | None = None) -> list[Hit]:
        """The ``k`` best passages at most, best first; see `find`."""
        return await asyncio.to_thread(self.find, query, k, mode=mode)

    def find(self, query: str, k: int = 10, *, mode: Mode | None = None) -> list[Hit]:
        """The ``k`` best passages at most, best first.

        Args:
            query: Words or a question.
            k: How many.
            mode: ``bm25``, ``dense`` or ``hybrid``; the default is hybrid where the index has vectors, BM25 otherwise.

        Raises:
            UsageError: an empty query, ``k`` below 1, or a dense search of an index without vectors.
        """
        mode = mode or ("hybrid" if self._embedder is not None else "bm25")
        self._check(query, k, mode)
        parts: dict[str, dict[int, float]] = {}
        if mode != "dense":
            parts["bm25"] = self._bm25(query)
        if mode != "bm25":
            parts["dense"] = self._dense(query, parts.get("bm25", {}))
        scores = fused(parts)
        best = sorted(scores, key=lambda unit: (-scores[unit], unit))[:k]
        return [
            Hit(
                span=unit.span,
                score=scores[unit.id],
                text=unit.text,
                path=unit.path,
                page=unit.page,
                parts={name: found[unit.id] for name, found in parts.items() if unit.id in found},
            )
            for unit in self._store.units(best)
        ]

    def _check(self, query: str, k: int, mode: Mode) -> None:
        if not query.strip():
            raise UsageError("the query is empty", hint="Give some words to look for.")
        if k < 1:
            raise UsageError(f"{k} passages cannot be found", hint="Give a -k of 1 or more.")
        if mode != "bm25" and self._embedder is None:
            raise UsageError("this index has no vectors", hint="Index with --embedder minilm, or search with bm25.")

    def _entries(self, document: Document) -> list[Entry]:
        spans = unit_spans(document.text)
        texts = [document.text[start:end] for start, end in spans]
        vectors: list[bytes | None] = [None] * len(texts)
        if self._embedder is not None:
            vectors = [vector.tobytes() for vector in self._embedder.embed(texts)]
        return [
            Entry(start=start, end=end, terms=" ".join(terms(text)), vector=vector)
            for (start, end), text, vector in zip(spans, texts, vectors, strict=True)
        ]

    def _bm25(self, query: str) -> dict[int, float]:
        found = self._store.bm25(terms(query), _CANDIDATES)
        shared = dict(found)
        for unit, score in found.items():
            for neighbour in self._store.neighbours(unit):
                if neighbour in shared:
                    shared[neighbour] += _NEIGHBOUR * score
        return shared

    def _dense(self, query: str, also: Mapping[int, float]) -> dict[int, float]:
        """Cosine of the nearest units, and of those that the other part found."""
        assert self._embedder is not None
        numbers, vectors = self._loaded()
        if not numbers:
            return {}
        cosines = vectors @ self._embedder.embed([query])[0]
        nearest = {int(i) for i in cosines.argsort()[::-1][:_CANDIDATES]}
        wanted = nearest | {i for i, number in enumerate(numbers) if number in also}
        return {numbers[i]: float(cosines[i]) for i in sorted(wanted)}

    def _loaded(self) -> tuple[list[int], NDArray[np.float32]]:
        state = self._store.state()
        if self._vectors is None or self._vectors[0] != state:
            self._vectors = (state, *self._store.vectors())
        return self._vectors[1], self._vectors[2]


def fused(parts: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """One score for each unit: the sum of its z-scores; what a part did not find counts as that part's lowest."""
    if len(parts) == 1:
        return dict(next(iter(parts.values())))
    union = sorted({unit for found in parts.values() for unit in found})
    total = dict.fromkeys(union, 0.0)
    for found in parts.values():
        lowest = min(found.values(), default=0.0)
        scores = [found.get(unit, lowest) for unit in union]
        mean, spread = (fmean(scores), pstdev(scores)) if scores else (0.0, 0.0)
        for unit, score in zip(union, scores, strict=True):
            total[unit] += (score - mean) / spread if spread else 0.0
    return total


def _matching(store: Store, wanted: str | None) -> Embedder | None:
    """The embedder that this index was made with; a new index takes the one that is wanted."""
    meta = store.meta()
    name = wanted or meta.get("embedder")
    if not name:
        return None
    embedder = resolve_embedder(name)
    known = meta.get("fingerprint")
    if known is None and store.sources():
        raise UnusableIndex("this index was made without vectors", hint="Index the documents again in a new folder.")
    if known not in (None, embedder.fingerprint):
        raise UnusableIndex(
            f"the vectors of this index are from another model ({known})",
            hint="Index the documents again in a new folder.",
        )
    if known is None:
        store.set_meta({"embedder": name, "fingerprint": embedder.fingerprint})
    return embedder
