"""The journal on disk: SQLite in WAL mode, one commit a call, a checksum a row.

A commit with ``synchronous=NORMAL`` survives the death of the process; ``durable=True`` (FULL) survives power loss too.
Damage never becomes a wrong reply: a row that does not fit its checksum is taken out and its call made again, a file
that SQLite cannot read is put aside and the rows that are still whole are carried over.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from coa.errors import JournalCorrupt
from coa.runtime.files import private_file
from coa.runtime.journal.base import Entry, Record
from coa.runtime.journal.damage import aside, mapped, salvaged
from coa.runtime.journal.schema import INSERT, NewerJournal, check_header, prepare, row_of, whole

Warn = Callable[[str], None]


class SqliteJournal:
    """A journal in one file.

    Args:
        path: The file; it is made where there is none.
        durable: Survive power loss too.
        readonly: Only look: damage is an error then, and nothing is mended.
        warn: Told of damage that was found and mended.

    Raises:
        JournalCorrupt: the file was written by a newer version, or is damaged and only looked at.
        StorageFailed: the file cannot be opened or written.
    """

    def __init__(
        self, path: Path, *, durable: bool = False, readonly: bool = False, warn: Warn = lambda _: None
    ) -> None:
        self._path, self._readonly, self._warn = path, readonly, warn
        if readonly:
            self._db = _opened(path, readonly=True)
        else:
            self._db = self._mended(durable)

    def get(self, key: str) -> Record | None:
        """See `Journal.get`. A damaged row is never used: its call is made again."""
        with mapped():
            row = self._db.execute("select seq, record, checksum from calls where key = ?", (key,)).fetchone()
        if row is None:
            return None
        record = whole(key, row[1], row[2])
        if record is None:
            self._take_out(row[0])
        return record

    def put(self, key: str, record: Record) -> None:
        """See `Journal.put`."""
        row = row_of(key, record)
        with mapped():
            self._db.execute(INSERT, row)

    def entries(self) -> Iterator[Entry]:
        """See `Journal.entries`. Damaged rows are left out, with a warning."""
        with mapped():
            cursor = self._db.execute("select seq, key, record, checksum from calls order by seq")
        while True:
            with mapped():
                row = cursor.fetchone()
            if row is None:
                return
            seq, key, text, checksum = row
            if (record := whole(key, text, checksum)) is None:
                self._warn(f"row {seq!r} of the journal is damaged and was left out")
            else:
                yield Entry(seq=seq, key=key, record=record)

    def close(self) -> None:
        """See `Journal.close`."""
        self._db.close()

    def _take_out(self, seq: int) -> None:
        if self._readonly:
            raise JournalCorrupt(f"row {seq!r} of the journal is damaged")
        with mapped():
            self._db.execute("delete from calls where seq = ?", (seq,))
        self._warn(f"row {seq!r} of the journal was damaged: its call is made again")

    def _mended(self, durable: bool) -> sqlite3.Connection:
        """Open for writing; a damaged file is put aside, and what is whole in it is kept."""
        private_file(self._path)
        try:
            return _opened(self._path, durable=durable)
        except NewerJournal:
            raise
        except JournalCorrupt as error:
            damaged = aside(self._path)
            rows = salvaged(damaged)
            private_file(self._path)
            db = _opened(self._path, durable=durable)
            with mapped():
                db.executemany(INSERT, rows)
            self._warn(
                f"{error.message}: it was put aside as {damaged.name!r}; {len(rows)} calls were kept, "
                "others are made again"
            )
            return db


def _opened(path: Path, *, readonly: bool = False, durable: bool = False) -> sqlite3.Connection:
    mode = "ro" if readonly else "rw"
    with mapped():
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
        )
    try:
        with mapped():
            check_header(db)
            if not readonly:
                prepare(db, durable=durable)
    except BaseException:
        db.close()
        raise
    return db
