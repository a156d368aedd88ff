"""The journal on disk: SQLite in WAL mode, one commit a call, a checksum a row.

A commit with ``synchronous=NORMAL`` survives the death of the process; ``durable=True`` (FULL) survives power loss too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

from coa.errors import JournalCorrupt, StorageFailed
from coa.runtime.journal.base import Entry, Record

APPLICATION_ID = 0x636F616A
SCHEMA_VERSION = 1
_SCHEMA = """
create table if not exists calls (
    seq integer primary key, key text not null unique, record text not null, checksum text not null
)
"""


class SqliteJournal:
    """A journal in one file.

    Raises:
        JournalCorrupt: the file is no journal, is damaged, or was written by a newer version.
        StorageFailed: the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._path = path
        with self._mapped():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._mapped():
                self._prepare(durable)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, durable: bool) -> None:
        application = self._db.execute("pragma application_id").fetchone()[0]
        version = self._db.execute("pragma user_version").fetchone()[0]
        tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
        if tables and application != APPLICATION_ID:
            raise JournalCorrupt(f"{self._path.name!r} is not a journal of this program")
        if version > SCHEMA_VERSION:
            raise JournalCorrupt(
                f"the journal has version {version}, newer than this program's {SCHEMA_VERSION}",
                hint="Upgrade chain-of-agents, or choose another --run-dir.",
            )
        self._db.execute("pragma journal_mode=wal")
        self._db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
        self._db.execute(f"pragma application_id={APPLICATION_ID}")
        self._db.execute(f"pragma user_version={SCHEMA_VERSION}")
        self._db.execute(_SCHEMA)

    @contextmanager
    def _mapped(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise StorageFailed(f"the journal cannot be used: {error}") from None
        except sqlite3.DatabaseError as error:
            raise JournalCorrupt(f"the journal is damaged: {error}", hint=_DAMAGED) from None

    def get(self, key: str) -> Record | None:
        """See `Journal.get`. A row whose checksum does not fit raises JournalCorrupt: it is never used."""
        with self._mapped():
            row = self._db.execute("select record, checksum from calls where key = ?", (key,)).fetchone()
        return None if row is None else _checked(key, *row)

    def put(self, key: str, record: Record) -> None:
        """See `Journal.put`."""
        text = record.dump()
        with self._mapped():
            self._db.execute(
                "insert into calls (key, record, checksum) values (?, ?, ?) on conflict (key) do nothing",
                (key, text, _checksum(key, text)),
            )

    def entries(self) -> Iterator[Entry]:
        """See `Journal.entries`."""
        with self._mapped():
            for seq, key, text, checksum in self._db.execute(
                "select seq, key, record, checksum from calls order by seq"
            ):
                yield Entry(seq=seq, key=key, record=_checked(key, text, checksum))

    def close(self) -> None:
        """See `Journal.close`."""
        self._db.close()


_DAMAGED = "Remove the run (`coa runs`, then delete its folder) and start again."


def _checksum(key: str, text: str) -> str:
    return hashlib.sha256(f"{key}\n{text}".encode()).hexdigest()


def _checked(key: str, text: str, checksum: str) -> Record:
    if _checksum(key, text) != checksum:
        raise JournalCorrupt("a row of the journal is damaged", hint=_DAMAGED)
    return Record.parse(text)
