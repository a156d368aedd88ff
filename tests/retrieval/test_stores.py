"""The conformance suite of stores: ours pass it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coa.retrieval.sqlite.ann import Kind
from coa.retrieval.sqlite.store import SQLiteStore
from coa.testing import check_store


def test_sqlite_conforms(tmp_path: Path) -> None:
    check_store(lambda: SQLiteStore(tmp_path / "lib", create=True))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_sqlite_with_faiss_conforms(tmp_path: Path, kind: Kind) -> None:
    pytest.importorskip("faiss")
    check_store(lambda: SQLiteStore(tmp_path / "lib", create=True, ann_from=2, ann=kind))
    assert list((tmp_path / "lib").glob("ann-*.faiss"))
