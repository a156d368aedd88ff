"""What an aggregation was asked, in the folder of its run, so that the run can be taken up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from coa.aggregation.query import Query
from coa.aggregation.reading import Wanted
from coa.aggregation.schema import Schema, SchemaLike, schema_again, schema_of
from coa.errors import InputChanged, RunNotFound, UsageError
from coa.runtime.manifest import Manifest
from coa.runtime.runs import GIVE_AGAIN


class _Kept(BaseModel):
    """The schema by what can be read again, and by what a model sees of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    origin: str | None
    text: str
    what: str | None
    key: tuple[str, ...]
    query: dict[str, Any]


def kept_form(wanted: Wanted, query: Query) -> Mapping[str, Any] | None:
    """The request as JSON; None when records to be joined hold values that JSON does not know."""
    kept = {
        "origin": wanted.schema.origin,
        "text": wanted.schema.text,
        "what": wanted.what,
        "key": list(wanted.key),
        "query": asdict(query),
    }
    try:
        json.dumps(kept)
    except TypeError:
        return None
    return kept


def kept_request(manifest: Manifest, kept: Mapping[str, Any], given: SchemaLike | None) -> tuple[Wanted, Query]:
    """What was asked.

    Raises:
        RunNotFound: it is damaged.
        UsageError: the schema was a class of a program, and is not given, or another one is.
        InputChanged: the file of the schema holds another one by now.
    """
    try:
        asked = _Kept.model_validate(kept)
        query = TypeAdapter(Query).validate_python(asked.query)
    except ValidationError:
        raise RunNotFound(
            f"what run {manifest.run_id!r} kept of what it was asked is damaged", hint=GIVE_AGAIN
        ) from None
    return Wanted(schema=_schema(manifest, asked, given), what=asked.what, key=asked.key), query


def _schema(manifest: Manifest, asked: _Kept, given: SchemaLike | None) -> Schema:
    if given is not None:
        schema = schema_of(given)
        if schema.text != asked.text:
            raise UsageError(f"run {manifest.run_id!r} was begun with another schema than {schema.name!r}")
        return schema
    if asked.origin is None:
        raise UsageError(
            f"the schema of run {manifest.run_id!r} is a class of the program that began it",
            hint="Give it: coa.resume(run, schema=TheClass).",
        )
    schema = schema_again(asked.origin)
    if schema.text != asked.text:
        raise InputChanged(f"the schema {asked.origin!r} is not what it was when run {manifest.run_id!r} began")
    return schema
