"""What to make of SQLite's errors, and what to save from a file that it cannot read."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from coa.errors import JournalCorrupt, StorageFailed
from coa.runtime.files import storage
from coa.runtime.journal.schema import whole

Row = tuple[str, bytes, str]

_STORAGE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOMEM,
    }
)


@contextmanager
def mapped() -> Generator[None]:
    """Turn SQLite's errors into ours: the disk's fault, or damage in the file.

    Raises:
        StorageFailed: the disk is full, failed, or may not be written.
        JournalCorrupt: anything else: the statements are right, so that the file must be wrong.
    """
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the primary code; an error of Python's own, such as text that is no UTF-8, has none.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _STORAGE:
            raise StorageFailed(f"the journal cannot be used: {error}") from None
        raise JournalCorrupt(f"the journal is damaged ({error})") from None


def aside(path: Path) -> Path:
    """Rename a damaged journal, with the log that belongs to it, to a name that is free; return that name."""
    free = next(name for number in count(1) if not (name := path.with_name(f"{path.name}.damaged-{number}")).exists())
    with storage(path):
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(free.with_name(free.name + suffix))
    return free


def salvaged(path: Path) -> list[Row]:
    """The rows of a damaged journal that are whole, as far as SQLite can still reach them."""
    rows: list[Row] = []
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.text_factory = bytes
        for key, data, checksum in db.execute("select key, record, checksum from calls not indexed order by seq"):
            row = _text(key), data, _text(checksum)
            if whole(*row) is not None:
                rows.append(row)
    return rows


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
