"""The SQLite file of an index: its schema, its connections, and what its errors mean."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from coa.errors import StorageFailed, UnusableIndex
from coa.textfile import there

FILE = "index.db"
VERSION = 2
"""Goes up with the schema, and with `coa.retrieval.terms.terms`: words are deleted by writing them a second time."""

_APPLICATION_ID = 0x636F6169
_BUSY_SECONDS = 5.0
_SCHEMA = """
create table meta (key text primary key, value text not null) without rowid;
create table documents (
    number integer primary key autoincrement, doc text not null unique, path text not null unique,
    sha256 text not null, chars integer not null, pages text not null
);
create table pieces (
    number integer not null, at integer not null, text blob not null, primary key (number, at)
) without rowid;
create table units (
    id integer primary key, start integer not null, stop integer not null, page integer, section text not null,
    kind text not null, own text, fields text not null, slot integer
);
create unique index units_by_slot on units (slot) where slot is not null;
create index units_lacking on units (id) where slot is null;
create table dead (slot integer primary key);
create virtual table words using fts5 (own, near, content = '', tokenize = "unicode61 remove_diacritics 0");
insert into words (words, rank) values ('rank', 'bm25(3.0, 1.0)');
create virtual table vocabulary using fts5vocab (words, row);
"""


class Database:
    """Connections to one file: each reader and writer has one to itself while it works.

    Raises:
        UnusableIndex: the folder is no index, is damaged, or was written by another version.
        StorageFailed: it cannot be read or written.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self._path = folder / FILE
        if not create and not there(self._path):
            raise UnusableIndex(f"{str(folder)!r} is not an index", hint="Make one: coa index PATH... --index DIR")
        if create:
            _make(folder)
        self._idle: deque[sqlite3.Connection] = deque()
        try:
            with _mapped(), self._connection() as connection:
                _prepare(connection, self._path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """A connection that sees one committed state, whatever others write meanwhile."""
        with _mapped(), self._connection() as connection, _transaction(connection, "begin"):
            yield connection

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection]:
        """A connection that holds the write lock; what it did is durable afterwards, or undone."""
        with _mapped(), self._connection() as connection, _transaction(connection, "begin immediate"):
            yield connection
            bump(connection, "state", 1)

    def vacuum(self) -> None:
        """Give free pages back to the system."""
        with _mapped(), self._connection() as connection:
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")

    @contextmanager
    def _connection(self) -> Generator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS
            )
            connection.execute("pragma synchronous=full")
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)


def number(connection: sqlite3.Connection, key: str) -> int:
    """A counter of the index; 0 where it was never set."""
    row = connection.execute("select value from meta where key = ?", (key,)).fetchone()
    return int(row[0]) if row else 0


def bump(connection: sqlite3.Connection, key: str, by: int) -> None:
    """Add to a counter of the index."""
    connection.execute("insert or replace into meta values (?, ?)", (key, str(number(connection, key) + by)))


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Generator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
    connection.execute("commit")


@contextmanager
def _mapped() -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StorageFailed(f"the index cannot be used: {error}", hint=_hint(str(error))) from None
    except sqlite3.DatabaseError as error:
        raise UnusableIndex(f"the index is damaged: {error}") from None


def _hint(problem: str) -> str:
    if "locked" in problem:
        return "Another process is writing to it; wait."
    if "full" in problem:
        return "Free some space on the disk and give the same command again: what was indexed is kept."
    return "Check that the folder of the index can be read and written."


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    if tables and connection.execute("pragma application_id").fetchone()[0] != _APPLICATION_ID:
        raise UnusableIndex(f"{path.name!r} is not an index of this program")
    version = connection.execute("pragma user_version").fetchone()[0]
    if tables and version != VERSION:
        raise UnusableIndex(
            f"the index has version {version}, and this program reads version {VERSION}",
            hint="Use the program that made it, or index the documents again elsewhere.",
        )
    if not tables:
        _create(connection)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("pragma journal_mode=wal")
    with _transaction(connection, "begin immediate"):
        if connection.execute("select count(*) from sqlite_master").fetchone()[0]:
            return
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute(f"pragma application_id={_APPLICATION_ID}")
        connection.execute(f"pragma user_version={VERSION}")


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UnusableIndex(f"{str(folder)!r} is a file, not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(
            f"the folder of the index cannot be made: {error.strerror}", hint="Choose another folder."
        ) from None
