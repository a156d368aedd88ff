"""Which store an address means: a folder is SQLite."""

from __future__ import annotations

from pathlib import Path

from coa.retrieval.base import Store
from coa.retrieval.sqlite.store import SQLiteStore


def open_store(address: str | Path, *, create: bool = False) -> Store:
    """The store at an address.

    Args:
        address: A folder.
        create: Make it where there is none.

    Raises:
        UnusableIndex: there is no store, or none that this program can use.
        StorageFailed: it cannot be reached, read or written.
    """
    return SQLiteStore(Path(address), create=create)
