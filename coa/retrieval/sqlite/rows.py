"""Documents and units as rows, and back: pieces of text, fields."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from coa.retrieval.base import TEXT, Unit
from coa.types import Span

_PIECE = 1 << 15
_COLUMNS = "u.id, d.doc, u.start, u.stop, u.own, d.path, u.page, u.section, u.kind, u.fields"
_Row = tuple[int, str, int, int, str | None, str, int | None, str, str, str]
_FROM = f"select {_COLUMNS} from units u join documents d on d.number = u.id >> 20"


def write_text(connection: sqlite3.Connection, number: int, text: str) -> None:
    """Keep a text in pieces: a passage is read without its whole document."""
    rows = ((number, at, text[at : at + _PIECE].encode("utf-8", "surrogatepass")) for at in range(0, len(text), _PIECE))
    connection.executemany("insert into pieces values (?, ?, ?)", rows)


def read_text(connection: sqlite3.Connection, number: int, start: int, end: int) -> str:
    """A stretch of a document's text."""
    first = start - start % _PIECE
    rows = connection.execute(
        "select text from pieces where number = ? and at >= ? and at < ? order by at", (number, first, end)
    )
    whole = "".join(bytes(row[0]).decode("utf-8", "surrogatepass") for row in rows)
    return whole[start - first : end - first]


def write_units(connection: sqlite3.Connection, units: Sequence[Unit], slots: dict[int, int]) -> None:
    """Insert units; ``slots`` says where the vectors of some of them are."""
    connection.executemany(
        "insert into units values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                unit.id,
                unit.span.start,
                unit.span.end,
                unit.page,
                json.dumps(unit.section),
                unit.kind,
                None if unit.kind == TEXT else unit.text,
                json.dumps(dict(unit.fields)),
                slots.get(unit.id),
            )
            for unit in units
        ),
    )


def read_units(connection: sqlite3.Connection, clause: str, values: Sequence[object]) -> list[Unit]:
    """Units by a clause over ``units u join documents d``, in the order of their numbers if the clause asks so."""
    return [_read(connection, row) for row in connection.execute(f"{_FROM} where {clause}", tuple(values)).fetchall()]


def _read(connection: sqlite3.Connection, row: _Row) -> Unit:
    number, doc, start, stop, own, path, page, section, kind, fields = row
    text = own if own is not None else read_text(connection, number >> 20, start, stop)
    return Unit(
        id=number,
        span=Span(doc=doc, start=start, end=stop),
        text=text,
        path=path,
        page=page,
        section=tuple(json.loads(section)),
        kind=kind,
        fields=json.loads(fields),
    )
