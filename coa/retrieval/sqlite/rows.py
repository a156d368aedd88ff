"""Documents and units as rows, and back: numbers, pieces of text, fields."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from coa.errors import UsageError
from coa.retrieval.base import TEXT, Entry, Record, Unit
from coa.types import Span

UNITS_A_DOCUMENT = 1 << 20
OTHER_KINDS = 1 << 19
"""A document's units of kind ``text`` are numbered from 0, others from here: unit ``n`` of document ``d`` is
``d * UNITS_A_DOCUMENT + n``, so that neighbours need no look-up."""

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


def numbered(number: int, doc: str, record: Record) -> list[Unit]:
    """The units of a document with their numbers.

    Raises:
        UsageError: they are out of order, or too many.
    """
    units: list[Unit] = []
    texts = others = 0
    for entry in record.entries:
        if entry.kind == TEXT and others:
            raise UsageError("units of kind 'text' come before all others")
        at, texts, others = (
            (texts, texts + 1, others) if entry.kind == TEXT else (OTHER_KINDS + others, texts, others + 1)
        )
        if max(texts, others) > OTHER_KINDS:
            raise UsageError(f"{doc!r} has more than {OTHER_KINDS} units", hint="Split the document.")
        units.append(_unit(number * UNITS_A_DOCUMENT + at, doc, record, entry))
    return units


def _unit(number: int, doc: str, record: Record, entry: Entry) -> Unit:
    text = entry.text if entry.text is not None else record.document.text[entry.start : entry.end]
    return Unit(
        id=number,
        span=Span(doc=doc, start=entry.start, end=entry.end),
        text=text,
        path=record.document.path,
        page=entry.page,
        section=entry.section,
        kind=entry.kind,
        fields=entry.fields,
    )


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
