"""The conformance suite of stores: ours pass it."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.errors import StorageFailed, UsageError
from coa.retrieval.index import Index
from coa.retrieval.qdrant.store import QdrantStore
from coa.retrieval.sqlite.ann import Kind
from coa.retrieval.sqlite.store import SQLiteStore
from coa.testing import check_store

LOG = Path(__file__).parents[2] / "examples" / "documents" / "lighthouse_log.txt"


def test_sqlite_conforms(tmp_path: Path) -> None:
    check_store(lambda: SQLiteStore(tmp_path / "lib", create=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_sqlite_with_faiss_conforms(tmp_path: Path, kind: Kind) -> None:
    pytest.importorskip("faiss")
    check_store(lambda: SQLiteStore(tmp_path / "lib", create=True, ann_from=2, ann=kind))
    assert list((tmp_path / "lib").glob("ann-*.faiss"))


# The client leaves the lock's file open when another process has the folder.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.slow
def test_qdrant_conforms_in_its_local_mode(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    check_store(lambda: QdrantStore(f"qdrant-local:{tmp_path / 'lib'}"))


@pytest.mark.slow
def test_an_index_moves_to_qdrant_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    address = f"qdrant-local:{tmp_path / 'lib'}"
    index = coa.index(LOG, address)
    here = coa.index(LOG, tmp_path / "here")
    query = "Who keeps the light on Gull Stack?"
    assert index.find(query, 3)[0].span == here.find(query, 3)[0].span
    text = coa.load(LOG).text
    assert all(text[hit.span.start : hit.span.end] == hit.text for hit in index.find(query, 10))
    index.close()
    again = coa.index(LOG, address)
    assert again.add([coa.load(LOG)]) == 0
    again.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "address", ["qdrant://127.0.0.1:9/lib", "qdrant://127.0.0.1:9", "qdrant:///lib", "qdrant://h:x/lib"]
)
def test_a_qdrant_that_is_down_or_an_address_that_is_none_is_refused(address: str) -> None:
    pytest.importorskip("qdrant_client")
    with pytest.raises(StorageFailed if address.endswith("9/lib") else UsageError) as caught:
        Index.open(address)
    assert caught.value.hint
