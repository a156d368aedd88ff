"""`Query`: what is asked of the rows. Code answers it, never a model."""

from __future__ import annotations

import csv
import json
import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, cast

from coa.aggregation.rows import Row, comparable
from coa.errors import UsageError
from coa.textfile import read_text

_CONDITION = re.compile(r"\s*(.+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """``field operator value``, with one of ``= != < <= > >= ~``; ``~`` means that the text holds the value."""

    field: str
    operator: str
    value: str

    def holds(self, value: Any) -> bool:
        """Whether a row's value is so; no value never is, except that it differs from any."""
        if value is None:
            return self.operator == "!="
        if self.operator == "~":
            return comparable(self.value) in comparable(str(value))
        mine, other = _pair(value, self.value)
        if self.operator in _ORDER:
            return _ORDER[self.operator](mine, other)
        return (mine == other) is (self.operator == "=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Other records, and the field by which they belong to the rows."""

    records: tuple[Mapping[str, Any], ...]
    on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of the rows: filter, join, then group, then figures or a ranking.

    Without ``count``, a figure, ``top`` or ``group_by`` the rows themselves are the result.

    Attributes:
        where: All of these hold for a row.
        join: Rows are put together with these records; rows without a partner fall away, and the result says how many.
        group_by: One line for each combination of these fields' values.
        count: How many rows there are.
        max: The row with the greatest value of this field; rows with equal values all come.
        min: The row with the least.
        sum: The total of this field.
        mean: The average of this field.
        top: So many rows, or groups, by ``by``, the greatest first.
        by: A field; for groups also ``count``, ``sum`` or ``mean``.
    """

    where: tuple[Condition, ...] = ()
    join: Join | None = None
    group_by: tuple[str, ...] = ()
    count: bool = False
    max: str | None = None
    min: str | None = None
    sum: str | None = None
    mean: str | None = None
    top: int | None = None
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a result, and the rows that it rests on, by their places in the list of rows."""

    values: dict[str, Any]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The lines of a result, and what a reader should know about them."""

    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Work:
    lines: list[Line]
    notes: list[str] = field(default_factory=list[str])


def answer(query: Query, rows: Sequence[Row]) -> Result:
    """Work a query out.

    Raises:
        UsageError: a figure of a field that holds no numbers, or values that cannot be ranked with one another.
    """
    work = _Work([Line(values=dict(row.values), rows=(index,)) for index, row in enumerate(rows)])
    work.lines = [each for each in work.lines if all(c.holds(each.values.get(c.field)) for c in query.where)]
    if query.join is not None:
        _join(query.join, work)
    if query.group_by:
        lines = [_figures(query, group, work, dict(head)) for head, group in _groups(query, work.lines)]
        lines = _top(query, lines, work) if query.top is not None else lines
    elif query.max or query.min:
        lines = _extreme(query, work)
    elif query.count or query.sum or query.mean:
        lines = [_figures(query, work.lines, work, {})]
    else:
        lines = _top(query, work.lines, work) if query.by or query.top is not None else work.lines
    return Result(lines=tuple(lines), notes=tuple(dict.fromkeys(work.notes)))


def condition(text: str) -> Condition:
    """Read ``price>=10``.

    Raises:
        UsageError: it is no condition.
    """
    if (match := _CONDITION.fullmatch(text)) is None:
        raise UsageError(f"{text!r} is no condition", hint="Write FIELD=VALUE, or with != < <= > >= or ~ (holds).")
    return Condition(field=match[1], operator=match[2], value=match[3])


def read_records(path: str | Path) -> tuple[Mapping[str, Any], ...]:
    """Records of a CSV, JSON or JSONL file, for a join.

    Raises:
        InputError: it cannot be read.
        UsageError: it holds no records.
    """
    path = Path(path)
    text = read_text(path)
    try:
        if path.suffix == ".csv":
            found: object = list(csv.DictReader(StringIO(text)))
        elif path.suffix == ".jsonl":
            found = [json.loads(line) for line in text.split("\n") if line.strip()]
        else:
            found = json.loads(text)
    except (ValueError, RecursionError, csv.Error) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {error}", hint="Give CSV, JSON or JSONL.") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in cast("list[object]", found)):
        raise UsageError(f"{str(path)!r} holds no list of records", hint='[{"name": "Heron", "price": 3}]')
    return tuple(cast("list[dict[str, Any]]", found))


def _join(join: Join, work: _Work) -> None:
    partners: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in join.records:
        if record.get(join.on) is not None:
            partners[comparable(str(record[join.on]))].append(record)
    joined: list[Line] = []
    alone = 0
    for line in work.lines:
        found = partners.get(comparable(str(line.values.get(join.on))), [])
        alone += not found
        for record in found:
            more = {
                (name if name not in line.values else f"other {name}"): record[name]
                for name in record
                if name != join.on
            }
            joined.append(Line(values={**line.values, **more}, rows=line.rows))
    if alone:
        work.notes.append(f"{alone} rows have no partner with the same {join.on}")
    work.lines = joined


def _groups(query: Query, lines: Sequence[Line]) -> list[tuple[dict[str, Any], list[Line]]]:
    groups: dict[tuple[str, ...], tuple[dict[str, Any], list[Line]]] = {}
    for line in lines:
        head = {name: line.values.get(name) for name in query.group_by}
        groups.setdefault(tuple(map(comparable, head.values())), (head, []))[1].append(line)
    return sorted(groups.values(), key=lambda group: -len(group[1]))


def _figures(query: Query, lines: Sequence[Line], work: _Work, head: dict[str, Any]) -> Line:
    values = dict(head)
    if query.count or not (query.sum or query.mean or query.max or query.min):
        values["count"] = len(lines)
    if query.sum:
        values[f"sum of {query.sum}"] = _tidy(math.fsum(_numbers(query.sum, lines, work)))
    if query.mean:
        numbers = _numbers(query.mean, lines, work)
        values[f"mean of {query.mean}"] = _tidy(math.fsum(numbers) / len(numbers)) if numbers else None
    for name, best, word in ((query.max, _last, "max"), (query.min, _first, "min")):
        if name:
            values[f"{word} of {name}"] = best(
                [value for line in lines if (value := line.values.get(name)) is not None]
            )
    return Line(values=values, rows=tuple(dict.fromkeys(row for line in lines for row in line.rows)))


def _extreme(query: Query, work: _Work) -> list[Line]:
    found: list[Line] = []
    for name, best in ((query.max, _last), (query.min, _first)):
        if name is None:
            continue
        with_value = [line for line in work.lines if line.values.get(name) is not None]
        _say_missing(name, len(work.lines) - len(with_value), work)
        goal = best([line.values[name] for line in with_value])
        found += [line for line in with_value if line.values[name] == goal and line not in found]
    return found


def _top(query: Query, lines: Sequence[Line], work: _Work) -> list[Line]:
    by = query.by or "count"
    named = next((name for line in lines for name in line.values if name == by or name.startswith(f"{by} of ")), by)
    with_value = [line for line in lines if line.values.get(named) is not None]
    _say_missing(by, len(lines) - len(with_value), work)
    try:
        ranked = sorted(with_value, key=lambda line: line.values[named], reverse=True)
    except TypeError:
        raise UsageError(
            f"the values of {by!r} cannot be ranked with one another", hint="Choose another --by."
        ) from None
    return ranked[: query.top]


def _numbers(name: str, lines: Sequence[Line], work: _Work) -> list[float]:
    values = [line.values.get(name) for line in lines]
    _say_missing(name, values.count(None), work)
    try:
        return [float(value) for value in values if value is not None]
    except (TypeError, ValueError):
        raise UsageError(f"the field {name!r} does not hold numbers", hint="Choose a numeric field.") from None


def _say_missing(name: str, count: int, work: _Work) -> None:
    if count:
        work.notes.append(f"{count} rows state no {name}")


def _first(values: Sequence[Any]) -> Any:
    return _ranked(values)[0] if values else None


def _last(values: Sequence[Any]) -> Any:
    return _ranked(values)[-1] if values else None


def _ranked(values: Sequence[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        raise UsageError("values of different kinds cannot be ranked", hint="Choose another field.") from None


def _pair(value: Any, given: str) -> tuple[Any, Any]:
    """Both as numbers where they are some, else both as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value), float(given)
        except ValueError:
            pass
    return comparable(str(value)), comparable(given)


def _tidy(number: float) -> float | int:
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
