"""`Row`: a checked record with the place that states it. And which rows are one and the same record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from coa.types import Span

_FAR = 20_000
"""Characters: parts share less text than this, so that the search for a twin may end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A record and its evidence.

    Attributes:
        values: By the names of the fields; None where the text states nothing.
        spans: The words that state it, verified; several where several places do.
        part: The piece of the text in which it was found, in the order of reading.
    """

    values: dict[str, Any]
    spans: tuple[Span, ...]
    part: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What a worker gave as a record and what is none: what is wrong with it, and where it was read."""

    given: str
    reason: str
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Rows without duplicates, and where two accounts of one record disagree."""

    rows: tuple[Row, ...]
    duplicates: int
    conflicts: tuple[str, ...]


def merge(rows: Sequence[Row], key: Sequence[str] = ()) -> Merged:
    """Make one row of those that are the same record.

    With a key, rows whose key fields are equal are the same record, wherever they stand. In any case a record that two
    neighbouring parts saw, because their texts overlap, is one: its quotes overlap and its values do not disagree.
    Equal rows of different places stay two: somebody may have bought the same thing twice.

    Args:
        rows: In reading order.
        key: Names of fields.
    """
    kept: list[Row] = []
    by_key: dict[tuple[str, ...], int] = {}
    conflicts: list[str] = []
    for row in rows:
        name = _key(row, key)
        twin = by_key.get(name) if name else None
        if twin is None:
            twin = _seen_before(kept, row)
        if twin is None:
            kept.append(row)
            twin = len(kept) - 1
        else:
            conflicts += _conflicts(kept[twin], row, key)
            kept[twin] = _united(kept[twin], row)
        if name:
            by_key.setdefault(name, twin)
    return Merged(rows=tuple(kept), duplicates=len(rows) - len(kept), conflicts=tuple(conflicts))


def comparable(value: Any) -> str:
    """A value as it is compared: text without regard to case and blanks."""
    if isinstance(value, str):
        return " ".join(value.casefold().split())
    return json.dumps(value, default=str, sort_keys=True)


def _key(row: Row, key: Sequence[str]) -> tuple[str, ...] | None:
    values = [row.values.get(name) for name in key]
    return tuple(map(comparable, values)) if key and None not in values else None


def _seen_before(kept: Sequence[Row], row: Row) -> int | None:
    """The place of the same record as another part that shares text with this one saw it."""
    (here,) = row.spans
    for place in range(len(kept) - 1, -1, -1):
        other = kept[place]
        if not any(span.doc == here.doc and span.end > here.start - _FAR for span in other.spans):
            return None
        if other.part != row.part and _overlap(other, row) and not _differing(other, row):
            return place
    return None


def _overlap(a: Row, b: Row) -> bool:
    return any(x.doc == y.doc and x.start < y.end and y.start < x.end for x in a.spans for y in b.spans)


def _differing(a: Row, b: Row) -> list[str]:
    return [
        name
        for name, value in a.values.items()
        if value is not None and b.values.get(name) is not None and comparable(value) != comparable(b.values[name])
    ]


def _conflicts(a: Row, b: Row, key: Sequence[str]) -> list[str]:
    who = ", ".join(f"{name} {a.values[name]!r}" for name in key)
    return [f"{who}: {name} is {a.values[name]!r} and {b.values[name]!r}" for name in _differing(a, b)]


def _united(a: Row, b: Row) -> Row:
    values = {name: b.values.get(name) if value is None else value for name, value in a.values.items()}
    new = [
        span
        for span in b.spans
        if not any(span.doc == old.doc and span.start < old.end and old.start < span.end for old in a.spans)
    ]
    return replace(a, values=values, spans=(*a.spans, *new))
