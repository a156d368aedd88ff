"""What stands in the journal's file: its mark, its version, its one table, and how a row proves that it is whole."""

from __future__ import annotations

import hashlib
import sqlite3

from coa.errors import JournalCorrupt
from coa.runtime.journal.base import Record

APPLICATION_ID = 0x636F616A
SCHEMA_VERSION = 1

INSERT = "insert into calls (key, record, checksum) values (?, ?, ?) on conflict (key) do nothing"

_SCHEMA = """
create table if not exists calls (
    seq integer primary key, key text not null unique, record blob not null, checksum text not null
)
"""


class NewerJournal(JournalCorrupt):
    """The journal was written by a newer version of this program: it is left as it is."""

    default_hint = "Upgrade chain-of-agents, or choose another --run-dir."

    @property
    def code(self) -> str:
        """Programs see the public class."""
        return JournalCorrupt.__name__


def check_header(db: sqlite3.Connection) -> None:
    """Check that the file is a journal that this version can read.

    Raises:
        JournalCorrupt: it is not.
    """
    application, version = _number(db, "application_id"), _number(db, "user_version")
    tables = db.execute("select count(*) from sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise JournalCorrupt("the journal's file is not a journal of this program")
    if version > SCHEMA_VERSION:
        raise NewerJournal(f"the journal has version {version}, newer than this program's {SCHEMA_VERSION}")


def prepare(db: sqlite3.Connection, *, durable: bool) -> None:
    """Make the file ready to be written, after SQLite has looked through its structure.

    Raises:
        JournalCorrupt: the structure is damaged.
    """
    db.execute("pragma journal_mode=wal")
    db.execute(f"pragma synchronous={'full' if durable else 'normal'}")
    db.execute(_SCHEMA)
    if _number(db, "application_id") != APPLICATION_ID:
        db.execute(f"pragma application_id={APPLICATION_ID}")
    if _number(db, "user_version") != SCHEMA_VERSION:
        db.execute(f"pragma user_version={SCHEMA_VERSION}")
    found = db.execute("pragma quick_check(1)").fetchone()[0]
    if found != "ok":
        raise JournalCorrupt("the journal's structure is damaged")


def row_of(key: str, record: Record) -> tuple[str, bytes, str]:
    """A record as it is stored; lone surrogates, which a server's JSON may hold, survive."""
    data = record.dump().encode("utf-8", "surrogatepass")
    return key, data, _checksum(key, data)


def whole(key: object, data: object, checksum: object) -> Record | None:
    """The record of a row; None if a single bit of it is not what was written."""
    if not isinstance(key, str) or not isinstance(data, bytes) or _checksum(key, data) != checksum:
        return None
    return Record.parse(data.decode("utf-8", "surrogatepass"))


def _checksum(key: str, data: bytes) -> str:
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass"))
    digest.update(b"\n")
    digest.update(data)
    return digest.hexdigest()


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return db.execute(f"pragma {pragma}").fetchone()[0]
