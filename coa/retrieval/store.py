"""`Store`: an index on disk, one SQLite file: texts, units, full text (FTS5) and vectors.

A document enters in one transaction, so that a killed process leaves whole documents or nothing; readers see the last
committed state while another process writes.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coa.documents import Document
from coa.errors import StorageFailed, UnusableIndex
from coa.types import Source, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FILE = "index.db"
_APPLICATION_ID = 0x636F6169
_VERSION = 1
_BUSY_SECONDS = 5.0
_SCHEMA = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists documents (
    doc text primary key, path text not null unique, sha256 text not null, text text not null, pages text not null
);
create table if not exists units (
    id integer primary key, doc text not null, start integer not null, stop integer not null, vector blob
);
create index if not exists units_of_document on units (doc, start);
create virtual table if not exists words using fts5 (terms, tokenize = "unicode61 remove_diacritics 0");
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A passage of the index: its number, its place, its text, and where its document lies."""

    id: int
    span: Span
    text: str
    path: str
    page: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A unit on its way into the store."""

    start: int
    end: int
    terms: str
    vector: bytes | None = None


class Store:
    """An index in a folder.

    Raises:
        UnusableIndex: the folder is no index, is damaged, or was written by a newer version.
        StorageFailed: it cannot be read or written.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self._path = folder / FILE
        if not create and not self._path.is_file():
            raise UnusableIndex(f"{str(folder)!r} is not an index", hint="Make one: coa index PATH... --index DIR")
        if create:
            _make(folder)
        with self._mapped():
            self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS)
        try:
            with self._mapped():
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Release the file."""
        self._db.close()

    def meta(self) -> Mapping[str, str]:
        """What the index says about itself."""
        with self._mapped():
            return dict(self._db.execute("select key, value from meta"))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Keep what the index says about itself."""
        with self._transaction():
            self._db.executemany("insert or replace into meta values (?, ?)", list(values.items()))

    def sources(self) -> list[Source]:
        """The documents of the index."""
        with self._mapped():
            rows = self._db.execute("select doc, path, sha256, length(text) from documents order by doc").fetchall()
        return [Source(id=doc, path=path, sha256=sha256, chars=chars) for doc, path, sha256, chars in rows]

    def put(self, document: Document, entries: Sequence[Entry]) -> str:
        """Insert a document, in place of what its path held before; return its id in this index."""
        with self._transaction():
            self._remove(document.path)
            doc = self._free_id(document.id)
            self._db.execute(
                "insert into documents values (?, ?, ?, ?, ?)",
                (doc, document.path, document.sha256, document.text, json.dumps(document.source_map.pages)),
            )
            for entry in entries:
                cursor = self._db.execute(
                    "insert into units (doc, start, stop, vector) values (?, ?, ?, ?)",
                    (doc, entry.start, entry.end, entry.vector),
                )
                self._db.execute("insert into words (rowid, terms) values (?, ?)", (cursor.lastrowid, entry.terms))
        return doc

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        with self._transaction():
            return self._remove(path)

    def bm25(self, terms: Sequence[str], most: int) -> dict[int, float]:
        """Units that hold any of the terms, with their BM25 (FTS5: k1 = 1.2, b = 0.75); the ``most`` best."""
        if not terms:
            return {}
        query = " OR ".join('"' + term.replace('"', '""') + '"' for term in dict.fromkeys(terms))
        with self._mapped():
            rows = self._db.execute(
                "select rowid, -bm25(words) from words where words match ? order by 2 desc, 1 limit ?", (query, most)
            ).fetchall()
        return {int(unit): float(score) for unit, score in rows}

    def vectors(self) -> tuple[list[int], NDArray[np.float32]]:
        """Numbers of the units that have a vector, and the vectors, shape ``(units, dimensions)``."""
        import numpy as np

        with self._mapped():
            rows = self._db.execute("select id, vector from units where vector is not null order by id").fetchall()
        if not rows:
            return [], np.zeros((0, 0), dtype=np.float32)
        return [row[0] for row in rows], np.stack([np.frombuffer(row[1], dtype=np.float32) for row in rows])

    def state(self) -> int:
        """Changes whenever any process has changed the index."""
        with self._mapped():
            return int(self._db.execute("pragma data_version").fetchone()[0]) + self._db.total_changes

    def neighbours(self, unit: int) -> list[int]:
        """The units before and after one, in the same document."""
        with self._mapped():
            rows = self._db.execute(
                "select b.id from units a join units b on b.doc = a.doc and b.id in (a.id - 1, a.id + 1) "
                "where a.id = ?",
                (unit,),
            ).fetchall()
        return [row[0] for row in rows]

    def units(self, numbers: Sequence[int]) -> list[Unit]:
        """Units by their numbers, in that order."""
        return list(self._read(numbers))

    def _read(self, numbers: Sequence[int]) -> Iterator[Unit]:
        for number in numbers:
            with self._mapped():
                row = self._db.execute(
                    "select u.doc, u.start, u.stop, substr(d.text, u.start + 1, u.stop - u.start), d.path, d.pages "
                    "from units u join documents d on d.doc = u.doc where u.id = ?",
                    (number,),
                ).fetchone()
            if row is None:
                continue
            doc, start, stop, text, path, pages = row
            page = bisect_right(json.loads(pages), start) or None
            yield Unit(id=number, span=Span(doc=doc, start=start, end=stop), text=text, path=path, page=page)

    def _prepare(self) -> None:
        tables = self._db.execute("select count(*) from sqlite_master").fetchone()[0]
        if tables and self._db.execute("pragma application_id").fetchone()[0] != _APPLICATION_ID:
            raise UnusableIndex(f"{self._path.name!r} is not an index of this program")
        if (version := self._db.execute("pragma user_version").fetchone()[0]) > _VERSION:
            raise UnusableIndex(
                f"the index has version {version}, newer than this program's {_VERSION}",
                hint="Upgrade chain-of-agents, or index the documents again elsewhere.",
            )
        if not tables:
            self._db.execute("pragma journal_mode=wal")
            self._db.executescript(_SCHEMA)
            self._db.execute(f"pragma application_id={_APPLICATION_ID}")
            self._db.execute(f"pragma user_version={_VERSION}")

    def _remove(self, path: str) -> bool:
        row = self._db.execute("select doc from documents where path = ?", (path,)).fetchone()
        if row is None:
            return False
        self._db.execute("delete from words where rowid in (select id from units where doc = ?)", row)
        self._db.execute("delete from units where doc = ?", row)
        self._db.execute("delete from documents where doc = ?", row)
        return True

    def _free_id(self, wanted: str) -> str:
        taken = {row[0] for row in self._db.execute("select doc from documents")}
        number, name = 1, wanted
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        return name

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with self._mapped():
            self._db.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._db.execute("rollback")
                raise
            self._db.execute("commit")

    @contextmanager
    def _mapped(self) -> Generator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = "Another process is writing to it; wait." if "locked" in str(error) else ""
            raise StorageFailed(f"the index cannot be used: {error}", hint=hint or None) from None
        except sqlite3.DatabaseError as error:
            raise UnusableIndex(f"the index is damaged: {error}") from None


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UnusableIndex(f"{str(folder)!r} is a file, not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"the folder of the index cannot be made: {error.strerror}") from None
