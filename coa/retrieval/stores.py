"""Which store an address means: a folder is SQLite, ``lancedb://FOLDER`` LanceDB, ``qdrant://HOST/NAME`` a server."""

from __future__ import annotations

from pathlib import Path

from coa.retrieval.base import Store
from coa.retrieval.lance.store import LanceStore
from coa.retrieval.lance.table import SCHEME as LANCE
from coa.retrieval.qdrant.client import SCHEMES as QDRANT
from coa.retrieval.qdrant.store import QdrantStore
from coa.retrieval.sqlite.database import FILE
from coa.retrieval.sqlite.store import SQLiteStore
from coa.textfile import there


def is_index(address: str | Path) -> bool:
    """Whether an address is a store's, or a folder that holds one."""
    return _scheme(address) in (LANCE, *QDRANT) or there(Path(address) / FILE)


def _scheme(address: str | Path) -> str:
    return address.partition(":")[0] if isinstance(address, str) else ""


def open_store(address: str | Path, *, create: bool = False) -> Store:
    """The store at an address.

    Args:
        address: A folder; or ``qdrant://HOST[:PORT]/NAME``, ``qdrants://`` for TLS, ``qdrant-local:FOLDER``;
            or ``lancedb://FOLDER``.
        create: Make a folder where there is none; collections on a server are always made.

    Raises:
        MissingExtra: what it needs is not installed.
        UnusableIndex: there is no store, or none that this program can use.
        StorageFailed: it cannot be reached, read or written.
    """
    if _scheme(address) in QDRANT:
        return QdrantStore(str(address))
    if _scheme(address) == LANCE:
        return LanceStore(str(address), create=create)
    return SQLiteStore(Path(address), create=create)
