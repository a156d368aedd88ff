"""Conditions as Qdrant's filters over the payload of units."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from coa.errors import UsageError
from coa.retrieval.base import Value
from coa.retrieval.filters import OWN_FIELDS, Condition, Every, Not, Some, Test


def rendered(where: Condition, models: Any) -> Any:
    """A ``Filter``; ``models`` is the module ``qdrant_client.models``.

    Raises:
        UsageError: texts are compared by their order that are no dates.
    """
    match where:
        case Test():
            return models.Filter(must=[_test(where, models)])
        case Not(part=part):
            return models.Filter(must_not=[rendered(part, models)])
        case Every(parts=parts):
            return models.Filter(must=[rendered(part, models) for part in parts])
        case Some(parts=parts):
            return models.Filter(should=[rendered(part, models) for part in parts])


def key(field: str) -> str:
    """Where a field is in the payload."""
    return field if field in OWN_FIELDS else f"fields.{field}"


def _test(test: Test, models: Any) -> Any:
    if isinstance(test.value, tuple):
        if not test.value:
            return models.HasIdCondition(has_id=[])
        return models.Filter(should=[_equal(test.field, value, models) for value in test.value])
    if test.operator == "eq":
        return _equal(test.field, test.value, models)
    if isinstance(test.value, str):
        return models.FieldCondition(
            key=key(test.field), range=models.DatetimeRange(**{test.operator: _date(test.field, test.value)})
        )
    return models.FieldCondition(key=key(test.field), range=models.Range(**{test.operator: test.value}))


def _equal(field: str, value: Value, models: Any) -> Any:
    if isinstance(value, float):
        return models.FieldCondition(key=key(field), range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=key(field), match=models.MatchValue(value=value))


def _date(field: str, value: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise UsageError(
            f"Qdrant cannot order {value!r} for {field!r}", hint="Compare numbers, or dates as 2024-05-01."
        ) from None
