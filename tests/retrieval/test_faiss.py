"""A store with a FAISS file: recall, new vectors beside the mapped file, filters, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coa.documents import Document
from coa.errors import UnusableIndex
from coa.retrieval.base import Embedding, Entry, Record
from coa.retrieval.filters import condition
from coa.retrieval.sqlite.ann import Kind
from coa.retrieval.sqlite.store import SQLiteStore

pytestmark = pytest.mark.slow
pytest.importorskip("faiss")

COUNT, DIMENSIONS, CENTRES = 6_000, 64, 60


def clustered(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(CENTRES, DIMENSIONS))
    found = centres[random.integers(CENTRES, size=count)] + 0.7 * random.normal(size=(count, DIMENSIONS))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def filled(folder: Path, count: int, kind: Kind = "ivf") -> tuple[SQLiteStore, np.ndarray]:
    store = SQLiteStore(folder, create=True, ann_from=1_000, ann=kind)
    store.claim(Embedding(name="clusters", fingerprint="clusters:1", dimensions=DIMENSIONS))
    text = "x " * count
    entries = [Entry(start=2 * i, end=2 * i + 1, fields={"odd": i % 2}) for i in range(count)]
    store.put([Record(document=Document(id="d", path="d", text=text, sha256="1"), entries=entries)])
    vectors = clustered(count, 1)
    store.set_vectors([unit.id for unit in store.lacking(count)], vectors)
    return store, vectors


def recall(store: SQLiteStore, vectors: np.ndarray, where: str | None = None) -> float:
    hits = 0
    queries = clustered(50, 2)
    allowed = np.arange(len(vectors)) if where is None else np.arange(1, len(vectors), 2)
    for query in queries:
        truth = set(allowed[np.argsort(-(vectors[allowed] @ query))[:10]].tolist())
        found = store.search_dense(query, 10, where=condition({"odd": 1}) if where else None)
        hits += len(truth & {number & 0xFFFFF for number in found})
    return hits / (10 * len(queries))


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_nearly_everything_is_found_with_and_without_a_filter(tmp_path: Path, kind: Kind) -> None:
    store, vectors = filled(tmp_path, COUNT, kind)
    assert recall(store, vectors) == 1.0
    assert store.stale
    store.compact()
    assert not store.stale
    assert list(tmp_path.glob("ann-*.faiss"))
    assert recall(store, vectors) >= 0.95
    assert recall(store, vectors, "odd") == 1.0


def test_new_vectors_stand_beside_the_mapped_file_and_dead_ones_are_not_found(tmp_path: Path) -> None:
    store, vectors = filled(tmp_path, COUNT)
    store.compact()
    other = Document(id="new", path="new", text="new", sha256="2")
    store.put([Record(document=other, entries=[Entry(start=0, end=3)])])
    (unit,) = store.lacking(5)
    store.set_vectors([unit.id], vectors[:1])
    assert unit.id in store.search_dense(vectors[0], 2)
    store.remove("d")
    assert list(store.search_dense(vectors[0], 10)) == [unit.id]
    store.compact()
    assert list(store.search_dense(vectors[0], 10)) == [unit.id]
    assert not list(tmp_path.glob("ann-*.faiss"))


def test_a_damaged_file_is_refused_with_a_hint_and_built_again(tmp_path: Path) -> None:
    store, vectors = filled(tmp_path, COUNT)
    store.compact()
    store.close()
    (file,) = tmp_path.glob("ann-*.faiss")
    file.write_bytes(b"no index")
    again = SQLiteStore(tmp_path, create=True, ann_from=1_000)
    with pytest.raises(UnusableIndex) as caught:
        again.search_dense(vectors[0], 3)
    assert "compact" in caught.value.hint
    again.compact()
    assert len(again.search_dense(vectors[0], 3)) == 3
