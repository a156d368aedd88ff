"""`SQLiteStore`: an index in a folder. Readers see the last committed state while another process writes."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coa.documents import Document, SourceMap
from coa.retrieval.base import Counts, Embedding, Record, Unit
from coa.retrieval.filters import Condition
from coa.retrieval.numbers import UNITS_A_DOCUMENT, free_id, numbered, storable
from coa.retrieval.refusals import refuse_other
from coa.retrieval.sqlite import rows, words
from coa.retrieval.sqlite.ann import Kind
from coa.retrieval.sqlite.conditions import sql
from coa.retrieval.sqlite.database import Database, bump
from coa.retrieval.sqlite.dense import Dense
from coa.types import Source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


ANN_FROM = 100_000


class SQLiteStore:
    """A `coa.retrieval.base.Store` in a folder.

    Args:
        folder: Where it is.
        create: Make it where there is none.
        ann_from: Vectors from which compacting builds a FAISS index, where the extra ``faiss`` is installed.
        ann: ``ivf`` (inverted lists, a quarter of the vectors' size) or ``hnsw`` (a graph, slower to build).

    Raises:
        UnusableIndex: the folder is no index, is damaged, or was written by another version.
        StorageFailed: it cannot be read or written.
    """

    def __init__(
        self, folder: str | Path, *, create: bool = False, ann_from: int = ANN_FROM, ann: Kind = "ivf"
    ) -> None:
        self._db = Database(Path(folder), create=create)
        self._dense = Dense(Path(folder), ann_from, ann)

    def close(self) -> None:
        """Release the files."""
        self._db.close()
        self._dense.close()

    @property
    def embedding(self) -> Embedding | None:
        """Whose vectors it holds."""
        with self._db.reading() as connection:
            return _embedding(connection)

    def claim(self, embedding: Embedding) -> None:
        """Take an embedding for the store's own."""
        if self.embedding != embedding:
            with self._db.writing() as connection:
                known = _embedding(connection)
                refuse_other(known, embedding)
                values = {"embedder": embedding.name, "fingerprint": embedding.fingerprint}
                values["dimensions"] = str(embedding.dimensions)
                connection.executemany("insert or replace into meta values (?, ?)", values.items())

    def sources(self) -> list[Source]:
        """The documents."""
        with self._db.reading() as connection:
            found = connection.execute("select doc, path, sha256, chars from documents order by doc").fetchall()
        return [Source(id=doc, path=path, sha256=sha256, chars=chars) for doc, path, sha256, chars in found]

    def text(self, doc: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or a stretch of it."""
        with self._db.reading() as connection:
            row = connection.execute("select number, chars from documents where doc = ?", (doc,)).fetchone()
            return rows.read_text(connection, row[0], start, row[1] if end is None else end) if row else ""

    def document(self, doc: str) -> Document | None:
        """A document as it was put in, with its pages."""
        with self._db.reading() as connection:
            row = connection.execute(
                "select number, path, sha256, chars, pages from documents where doc = ?", (doc,)
            ).fetchone()
            if row is None:
                return None
            number, path, digest, chars, pages = row
            text = rows.read_text(connection, number, 0, chars)
        places = SourceMap(pages=tuple(json.loads(pages)))
        return Document(id=doc, path=path, text=text, sha256=digest, source_map=places)

    def put(self, records: Sequence[Record]) -> list[str]:
        """Insert documents in one transaction, each in place of what its path held."""
        with self._db.writing() as connection:
            return [_put(connection, record) for record in records]

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        with self._db.writing() as connection:
            number, _, slots = _take_out(connection, storable(path))
            _bury(connection, slots)
            return number is not None

    def units(self, numbers: Sequence[int]) -> list[Unit]:
        """Units by their numbers, in that order."""
        with self._db.reading() as connection:
            found = rows.read_units(connection, "u.id in (select value from json_each(?))", [json.dumps(list(numbers))])
        by_number = {unit.id: unit for unit in found}
        return [by_number[number] for number in numbers if number in by_number]

    def find(self, where: Condition, most: int) -> list[int]:
        """The numbers of the first units that meet a condition."""
        clause, values = sql(where)
        with self._db.reading() as connection:
            found = connection.execute(
                "select u.id from units u join documents d on d.number = u.id >> 20 "
                f"where {clause} order by u.id limit ?",
                [*values, most],
            ).fetchall()
        return [row[0] for row in found]

    def waiting(self) -> int:
        """How many units have no vector yet."""
        with self._db.reading() as connection:
            return int(connection.execute("select count(*) from units where slot is null").fetchone()[0])

    def lacking(self, most: int) -> list[Unit]:
        """Units that have no vector yet."""
        with self._db.reading() as connection:
            return rows.read_units(connection, "u.slot is null order by u.id limit ?", [most])

    def set_vectors(self, numbers: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Give units their vectors; those that are gone meanwhile are passed over."""
        with self._db.writing() as connection:
            self._dense.append(connection, _embedding(connection), numbers, vectors)

    def vectors(self, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of those units that have one."""
        with self._db.reading() as connection:
            return self._dense.read(connection, _embedding(connection), numbers)

    def search_lexical(
        self, terms: Sequence[str], k: int, *, where: Condition | None = None, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """BM25 over windows of three units."""
        with self._db.reading() as connection:
            return words.search(connection, terms, k, where, among)

    def count_words(self, phrases: Sequence[tuple[str, ...]], *, where: Condition | None = None) -> Counts:
        """Count the units of each document that hold each phrase."""
        with self._db.reading() as connection:
            found = [words.count(connection, phrase, where) for phrase in phrases]
            numbers = json.dumps(sorted({number for one in found for number in one}))
            said = connection.execute(
                "select number, doc, chars from documents where number in (select value from json_each(?))", (numbers,)
            ).fetchall()
            total, mean = connection.execute("select count(*), avg(chars) from documents").fetchone()
        ids = {number: doc for number, doc, _ in said}
        return Counts(
            documents=total,
            chars=mean or 0.0,
            lengths={doc: chars for _, doc, chars in said},
            units=[{ids[number]: units for number, units in one.items()} for one in found],
        )

    def search_dense(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        where: Condition | None = None,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        """Cosine of the nearest units."""
        with self._db.reading() as connection:
            return self._dense.search(connection, _embedding(connection), vector, k, where, among)

    def compact(self) -> None:
        """Write the vectors anew without the dead ones, merge the words' segments, give free pages back."""
        with self._db.writing() as connection:
            connection.execute("insert into words (words) values ('optimize')")
            self._dense.compact(connection, _embedding(connection))
        with self._db.writing() as connection:
            self._dense.tidy(connection)
        self._db.vacuum()

    @property
    def stale(self) -> bool:
        """Whether many vectors are compared one by one that FAISS could look up."""
        with self._db.reading() as connection:
            return self._dense.stale(connection, self._dense.ann_from)


def _embedding(connection: sqlite3.Connection) -> Embedding | None:
    meta = dict(connection.execute("select key, value from meta").fetchall())
    if "fingerprint" not in meta:
        return None
    return Embedding(name=meta["embedder"], fingerprint=meta["fingerprint"], dimensions=int(meta["dimensions"]))


def _put(connection: sqlite3.Connection, record: Record) -> str:
    document, path = record.document, storable(record.document.path)
    number, doc, slots = _take_out(connection, path)
    if number is None:
        taken = "select 1 from documents where doc = ?"
        doc = free_id(storable(document.id), lambda name: connection.execute(taken, (name,)).fetchone() is not None)
    cursor = connection.execute(
        "insert into documents values (?, ?, ?, ?, ?, ?)",
        (number, doc, path, document.sha256, len(document.text), json.dumps(document.source_map.pages)),
    )
    number = number if number is not None else int(cursor.lastrowid or 0)
    rows.write_text(connection, number, document.text)
    units = numbered(number, doc, record)
    kept = {unit.id: slots[unit.text].pop() for unit in units if slots.get(unit.text)}
    rows.write_units(connection, units, kept)
    _bury(connection, slots)
    words.insert(connection, units)
    bump(connection, "units", len(units))
    return doc


def _take_out(connection: sqlite3.Connection, path: str) -> tuple[int | None, str, dict[str, list[int]]]:
    """Delete a document; its number, its id, and the slots of its vectors by the text they are of."""
    row = connection.execute("select number, doc from documents where path = ?", (path,)).fetchone()
    if row is None:
        return None, "", {}
    number, doc = int(row[0]), str(row[1])
    bounds = (number * UNITS_A_DOCUMENT, (number + 1) * UNITS_A_DOCUMENT)
    units = rows.read_units(connection, "u.id >= ? and u.id < ? order by u.id", bounds)
    slots: defaultdict[str, list[int]] = defaultdict(list)
    found = dict(connection.execute("select id, slot from units where id >= ? and id < ? and slot is not null", bounds))
    for unit in units:
        if unit.id in found:
            slots[unit.text].append(found[unit.id])
    words.delete(connection, units)
    connection.execute("delete from units where id >= ? and id < ?", bounds)
    connection.execute("delete from pieces where number = ?", (number,))
    connection.execute("delete from documents where number = ?", (number,))
    bump(connection, "units", -len(units))
    return number, doc, slots


def _bury(connection: sqlite3.Connection, slots: dict[str, list[int]]) -> None:
    """No unit points to these rows of the vector file any more."""
    connection.executemany("insert into dead values (?)", [(slot,) for left in slots.values() for slot in left])
