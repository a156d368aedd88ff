"""The conformance suite of stores: ours pass it."""

from __future__ import annotations

from pathlib import Path

from coa.retrieval.sqlite.store import SQLiteStore
from coa.testing import check_store


def test_sqlite_conforms(tmp_path: Path) -> None:
    check_store(lambda: SQLiteStore(tmp_path / "lib", create=True))
