"""The words of units in FTS5: each row holds a unit's terms and, counting less, its neighbours'; BM25 ranks the rows.

The table keeps no text: a row is deleted by giving its terms a
second time, made again from the stored document.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence

from coa.retrieval.base import Unit
from coa.retrieval.filters import Condition
from coa.retrieval.sqlite.conditions import sql
from coa.retrieval.sqlite.database import number
from coa.retrieval.windows import windows

_LARGE = 10_000
_COMMON = 0.2
"""In an index of `_LARGE` units or more, terms in a larger share of them are left out of a query that has others."""


def _rows(units: Sequence[Unit]) -> Iterable[tuple[int, str, str]]:
    for unit, (own, near) in zip(units, windows(units), strict=True):
        yield unit.id, " ".join(own), " ".join(near)


def insert(connection: sqlite3.Connection, units: Sequence[Unit]) -> None:
    """Add the rows of a document's units."""
    connection.executemany("insert into words (rowid, own, near) values (?, ?, ?)", _rows(units))


def delete(connection: sqlite3.Connection, units: Sequence[Unit]) -> None:
    """Take the rows of a document's units out."""
    connection.executemany("insert into words (words, rowid, own, near) values ('delete', ?, ?, ?)", _rows(units))


def search(
    connection: sqlite3.Connection,
    terms: Sequence[str],
    k: int,
    where: Condition | None,
    among: Collection[int] | None,
) -> dict[int, float]:
    """BM25 (k1 = 1.2, b = 0.75) of rows that hold any of the terms."""
    wanted = _telling(connection, list(dict.fromkeys(terms)))
    if not wanted or (among is not None and not among):
        return {}
    query = " OR ".join('"' + term.replace('"', '""') + '"' for term in wanted)
    clauses, values = ["words match ?"], [query]
    tables = "words"
    if where is not None:
        tables = "words cross join units u on u.id = words.rowid cross join documents d on d.number = u.id >> 20"
        clause, bound = sql(where)
        clauses.append(f"({clause})")
        values += bound
    if among is not None:
        # The + keeps SQLite from starting the query anew for each number.
        clauses.append("+words.rowid in (select value from json_each(?))")
        values.append(json.dumps(sorted(among)))
    limit = "" if among is not None else f" order by rank limit {k:d}"
    found = connection.execute(f"select words.rowid, -rank from {tables} where {' and '.join(clauses)}{limit}", values)
    return {int(unit): float(score) for unit, score in found}


def _telling(connection: sqlite3.Connection, terms: list[str]) -> list[str]:
    """The terms without those that most units of a large index hold."""
    total = number(connection, "units")
    if total < _LARGE:
        return terms
    counts = [connection.execute("select doc from vocabulary where term = ?", (term,)).fetchone() for term in terms]
    rare = [term for term, row in zip(terms, counts, strict=True) if row is None or row[0] <= _COMMON * total]
    known = any(row is not None for term, row in zip(terms, counts, strict=True) if term in rare)
    return rare if known else terms
