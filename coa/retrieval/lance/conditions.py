"""Conditions as SQL expressions over the columns of the table. Names are checked, texts are quoted here."""

from __future__ import annotations

from collections.abc import Collection

from coa.retrieval.base import Value
from coa.retrieval.filters import OWN_FIELDS, Condition, Every, Not, Some, Test
from coa.retrieval.numbers import storable

_COMPARE = {"eq": "=", "gte": ">=", "lte": "<="}


def column(field: str, value: Value) -> str:
    """Where values of this type of a field are: numbers and texts never compare."""
    return f"{'t' if isinstance(value, str) else 'n'}_{field}"


def expression(where: Condition, columns: Collection[str]) -> str:
    """An expression that is true or false, never null.

    Args:
        where: The condition.
        columns: Those of the table: a field without a column is one that no unit has.
    """
    match where:
        case Test():
            return _test(where, columns)
        case Not(part=part):
            return f"(not {expression(part, columns)})"
        case Every(parts=parts):
            return _joined([expression(part, columns) for part in parts], "and", "true")
        case Some(parts=parts):
            return _joined([expression(part, columns) for part in parts], "or", "false")


def quoted(value: Value) -> str:
    """A literal."""
    if isinstance(value, str):
        return "'" + storable(value).replace("'", "''") + "'"
    return repr(float(value))


def _joined(parts: list[str], word: str, empty: str) -> str:
    return "(" + (f" {word} ".join(parts) or empty) + ")"


def _test(test: Test, columns: Collection[str]) -> str:
    values = list(test.value) if isinstance(test.value, tuple) else [test.value]
    return _joined(
        [_compared(test.field, _COMPARE.get(test.operator, "="), value, columns) for value in values], "or", "false"
    )


def _compared(field: str, comparison: str, value: Value, columns: Collection[str]) -> str:
    if field == "section":
        return f"coalesce(array_has(section, {quoted(value)}), false)" if isinstance(value, str) else "false"
    if field in OWN_FIELDS:
        fits = isinstance(value, str) != (field == "page")
        return f"coalesce({field} {comparison} {quoted(value)}, false)" if fits else "false"
    name = column(field, value)
    return f"coalesce(`{name}` {comparison} {quoted(value)}, false)" if name in columns else "false"
