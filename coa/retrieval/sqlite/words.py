"""The words of units in FTS5: each row holds a unit's terms and, counting less, its neighbours'; BM25 ranks the rows.

The table keeps no text: a row is deleted by giving its terms a
second time, made again from the stored document.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence

from coa.retrieval.base import Unit, Value
from coa.retrieval.filters import Condition
from coa.retrieval.sqlite.conditions import sql
from coa.retrieval.sqlite.database import number
from coa.retrieval.windows import windows

_LARGE = 10_000
_COMMON = 0.2
"""In an index of `_LARGE` units or more, terms in a larger share of them are left out of a query that has others."""

_BETWEEN = 1
"""Words that may stand between the two of a pair."""


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
    tables, matching, values = _matching(" OR ".join(map(_quoted, wanted)), where)
    clauses = [matching]
    if among is not None:
        # The + keeps SQLite from starting the query anew for each number.
        clauses.append("+words.rowid in (select value from json_each(?))")
        values.append(json.dumps(sorted(among)))
    limit = "" if among is not None else f" order by rank limit {k:d}"
    found = connection.execute(f"select words.rowid, -rank from {tables} where {' and '.join(clauses)}{limit}", values)
    return {int(unit): float(score) for unit, score in found}


def count(connection: sqlite3.Connection, phrase: Sequence[str], where: Condition | None) -> dict[int, int]:
    """How many units hold a phrase among their own words, by the number of their document."""
    together = _quoted(phrase[0]) if len(phrase) == 1 else f"NEAR({' '.join(map(_quoted, phrase))}, {_BETWEEN})"
    tables, matching, values = _matching(f"{{own}} : {together}", where)
    found = connection.execute(f"select words.rowid >> 20, count(*) from {tables} where {matching} group by 1", values)
    return {int(document): int(units) for document, units in found}


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def _matching(query: str, where: Condition | None) -> tuple[str, str, list[Value]]:
    """Tables, an expression for the rows that match, and its values."""
    if where is None:
        return "words", "words match ?", [query]
    clause, bound = sql(where)
    tables = "words cross join units u on u.id = words.rowid cross join documents d on d.number = u.id >> 20"
    return tables, f"words match ? and ({clause})", [query, *bound]


def _telling(connection: sqlite3.Connection, terms: list[str]) -> list[str]:
    """The terms without those that most units of a large index hold."""
    total = number(connection, "units")
    if total < _LARGE:
        return terms
    counts = [connection.execute("select doc from vocabulary where term = ?", (term,)).fetchone() for term in terms]
    rare = [term for term, row in zip(terms, counts, strict=True) if row is None or row[0] <= _COMMON * total]
    known = any(row is not None for term, row in zip(terms, counts, strict=True) if term in rare)
    return rare if known else terms
