"""Conditions as SQL over ``units u join documents d``; names are checked, values are bound."""

from __future__ import annotations

from coa.retrieval.base import Value
from coa.retrieval.filters import Condition, Every, Not, Some, Test

_COLUMNS = {"doc": "d.doc", "path": "d.path", "page": "u.page", "kind": "u.kind"}
_COMPARE = {"eq": "=", "gte": ">=", "lte": "<="}


def sql(where: Condition) -> tuple[str, list[Value]]:
    """An expression that is 0 or 1, never null, and its values."""
    match where:
        case Test():
            return _test(where)
        case Not(part=part):
            inner, values = sql(part)
            return f"not ({inner})", values
        case Every(parts=parts):
            return _joined(parts, " and ", "1")
        case Some(parts=parts):
            return _joined(parts, " or ", "0")


def _joined(parts: tuple[Condition, ...], word: str, empty: str) -> tuple[str, list[Value]]:
    rendered = [sql(part) for part in parts]
    text = word.join(f"({inner})" for inner, _ in rendered) or empty
    return text, [value for _, values in rendered for value in values]


def _test(test: Test) -> tuple[str, list[Value]]:
    values = list(test.value) if isinstance(test.value, tuple) else [test.value]
    if test.field == "section":
        marks = ", ".join("?" * len(values))
        return f"exists (select 1 from json_each(u.section) where value in ({marks}))", values
    column = _COLUMNS.get(test.field, f"json_extract(u.fields, '$.{test.field}')")
    if test.operator == "in":
        return _joined(tuple(Test(field=test.field, operator="eq", value=value) for value in values), " or ", "0")
    # SQLite orders any text above any number: values of different types never compare here.
    types = "('text')" if isinstance(values[0], str) else "('integer', 'real')"
    return f"typeof({column}) in {types} and {column} {_COMPARE[test.operator]} ?", values
