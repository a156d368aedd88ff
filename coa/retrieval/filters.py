"""Conditions on units: a dict of the user's, checked and turned into a small tree that each store translates.

::

    {"speaker": "Ann", "date": {"gte": "2024-01-01"}, "not": {"section": {"in": ["Index", "Notes"]}}}

A name alone asks for equality; several names must all hold; ``and`` and ``or`` take lists, ``not`` takes a condition.
A test of a field that a unit lacks does not hold. A unit's ``section`` equals a title when one of its headings does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from coa.errors import UsageError
from coa.retrieval.base import Value

Operator = Literal["eq", "in", "gte", "lte"]
OWN_FIELDS = ("doc", "path", "page", "section", "kind")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_HINT = 'Write {"field": value} or {"field": {"gte": value}}; operators are eq, in, gte, lte, and, or, not.'
_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One field against one value, or several for ``in``."""

    field: str
    operator: Operator
    value: Value | tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """All parts hold; true where there are none."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The part does not hold."""

    part: Condition


Condition = Test | Every | Some | Not


def condition(where: Mapping[str, Any], depth: int = 0) -> Condition:
    """The tree of a user's dict.

    Raises:
        UsageError: it is not of the form above.
    """
    if depth > _DEEPEST:
        raise UsageError(f"the filter is nested more than {_DEEPEST} deep")
    parts = tuple(_part(str(name), value, depth) for name, value in where.items())
    return parts[0] if len(parts) == 1 else Every(parts=parts)


def field_name(name: str) -> str:
    """A name that every store can hold.

    Raises:
        UsageError: it cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be the name of a field", hint="Use letters, digits and _, a letter first.")
    return name


def _part(name: str, value: object, depth: int) -> Condition:
    if name in ("and", "or"):
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence) or not value:
            raise UsageError(f"{name!r} in a filter takes a list of conditions", hint=_HINT)
        parts = tuple(condition(_mapping(item), depth + 1) for item in cast("Sequence[object]", value))
        return Every(parts=parts) if name == "and" else Some(parts=parts)
    if name == "not":
        return Not(part=condition(_mapping(value), depth + 1))
    field_name(name)
    if not isinstance(value, Mapping):
        return Test(field=name, operator="eq", value=_value(name, value))
    tests = tuple(_test(name, str(key), item) for key, item in cast("Mapping[object, object]", value).items())
    if not tests:
        raise UsageError(f"the filter says nothing about {name!r}", hint=_HINT)
    return tests[0] if len(tests) == 1 else Every(parts=tests)


def _test(name: str, operator: str, value: object) -> Test:
    if operator not in get_args(Operator):
        raise UsageError(f"unknown operator {operator!r} in a filter", hint=_HINT)
    if operator == "in":
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
            raise UsageError(f"'in' for {name!r} takes a list", hint=_HINT)
        return Test(field=name, operator="in", value=tuple(_value(name, v) for v in cast("Sequence[object]", value)))
    if name == "section" and operator != "eq":
        raise UsageError("a section can be tested with eq and in alone", hint=_HINT)
    found = _value(name, value)
    if operator != "eq" and isinstance(found, bool):
        raise UsageError(f"{operator!r} for {name!r} takes a number or a text", hint=_HINT)
    return Test(field=name, operator=cast("Operator", operator), value=found)


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{value!r} is no condition", hint=_HINT)
    return cast("Mapping[str, Any]", value)


def _value(name: str, value: object) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{value!r} is no value for {name!r} in a filter", hint=_HINT)
    if isinstance(value, str | int | float | bool):
        return value
    raise UsageError(f"{value!r} is no value for {name!r} in a filter", hint=_HINT)
