"""`Schema`: what a record looks like, from a pydantic model or a JSON schema, and whether an object is one."""

from __future__ import annotations

import enum
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from coa.errors import InputNotFound, UsageError
from coa.textfile import read_text

SchemaLike = type[BaseModel] | Mapping[str, Any] | str | Path
"""A pydantic model, a JSON schema, the path of one, or ``FILE.py:MODEL``."""

_SCALARS: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool}
_FORMATS: Mapping[str, Any] = {"date": date, "date-time": datetime}
_NESTED = "A record is flat: text, numbers, truth values, dates and choices."
_MOST_PROBLEMS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The form of a record.

    Attributes:
        name: What a record is called.
        fields: The names of its fields, in order.
        required: Those that it cannot do without.
        text: The JSON schema, as a model sees it.
        origin: What it can be read from again: a JSON schema, or ``FILE.py:MODEL``; None for a class of a program.
    """

    name: str
    fields: tuple[str, ...]
    required: tuple[str, ...]
    text: str
    model: type[BaseModel]
    origin: str | None = None

    def record(self, given: object) -> dict[str, Any]:
        """A checked record with plain values.

        Raises:
            ValueError: says what is wrong with it, in words that a model can use.
        """
        try:
            return {
                name: _plain(value)
                for name, value in self.model.model_validate(given).model_dump(by_alias=True).items()
            }
        except ValidationError as error:
            said = [f"{'.'.join(map(str, each['loc'])) or 'record'}: {each['msg']}" for each in error.errors()]
            raise ValueError("; ".join(said[:_MOST_PROBLEMS])) from None

    def known(self, *names: str | None) -> None:
        """Check that fields exist.

        Raises:
            UsageError: one does not.
        """
        for name in names:
            if name is not None and name not in self.fields:
                raise UsageError(f"{self.name} has no field {name!r}", hint=f"Its fields: {', '.join(self.fields)}.")


def schema_of(given: SchemaLike) -> Schema:
    """Read a schema.

    Raises:
        UsageError: it is none, or a record would not be flat.
        InputError: its file cannot be read.
    """
    if isinstance(given, type):
        return _of_model(given)
    if isinstance(given, Mapping):
        return _of_json(given)
    path, colon, name = str(given).rpartition(":")
    if colon and path.endswith(".py"):
        return replace(_of_model(_imported(Path(path), name)), origin=f"{Path(path).absolute()}:{name}")
    try:
        read: object = json.loads(read_text(given))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{str(given)!r} is no JSON: {error}", hint="Give a JSON schema, or FILE.py:MODEL.") from None
    if not isinstance(read, dict):
        raise UsageError(f"{str(given)!r} is no JSON schema", hint="It must be an object with properties.")
    return _of_json(cast("dict[str, Any]", read))


def schema_again(origin: str) -> Schema:
    """The schema that an ``origin`` tells.

    Raises:
        UsageError, InputError: as `schema_of`.
    """
    return schema_of(json.loads(origin) if origin.startswith("{") else origin)


def _of_json(given: Mapping[str, Any]) -> Schema:
    return replace(_of_model(_model_of(given)), origin=json.dumps(given, ensure_ascii=False))


def _of_model(model: type[BaseModel]) -> Schema:
    described = model.model_json_schema()
    properties: dict[str, Any] = described.get("properties", {})
    if not properties:
        raise UsageError(f"the schema {model.__name__!r} has no fields", hint=_NESTED)
    for name, each in properties.items():
        _type_of(name, each, described.get("$defs", {}))
    return Schema(
        name=model.__name__,
        fields=tuple(properties),
        required=tuple(described.get("required", ())),
        text=json.dumps(described, ensure_ascii=False),
        model=model,
    )


def _model_of(schema: Mapping[str, Any]) -> type[BaseModel]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise UsageError("the JSON schema has no properties", hint='{"properties": {"name": {"type": "string"}}}')
    required = set(cast("list[str]", schema.get("required", [])))
    fields: dict[str, Any] = {}
    for index, (name, each) in enumerate(cast("dict[str, Any]", properties).items()):
        kind = _type_of(name, each, schema.get("$defs", {}))
        about = str(each.get("description", "")) or None
        if name in required:
            fields[f"f{index}"] = (kind, Field(alias=name, description=about))
        else:
            fields[f"f{index}"] = (kind | None, Field(None, alias=name, description=about))
    title = str(schema.get("title") or "Record")
    return create_model(title, __config__=ConfigDict(extra="ignore"), **fields)


def _type_of(name: str, given: object, shared: Mapping[str, Any]) -> Any:
    """The Python type of a property.

    Raises:
        UsageError: it is not flat.
    """
    each: dict[str, Any] = cast("dict[str, Any]", given) if isinstance(given, dict) else {}
    if (reference := str(each.get("$ref", ""))).startswith("#/$defs/"):
        each = {**shared.get(reference.removeprefix("#/$defs/"), {})}
    if "enum" in each or "const" in each:
        return Literal[tuple(each.get("enum") or [each["const"]])]
    if options := each.get("anyOf"):
        kinds = [_type_of(name, option, shared) for option in options if option != {"type": "null"}]
        kind = kinds[0] if kinds else str
        for other in kinds[1:]:
            kind |= other
        return kind | None
    named = each.get("type")
    if isinstance(named, list):
        return _type_of(name, {"anyOf": [{**each, "type": one} for one in cast("list[str]", named)]}, shared)
    kind = _FORMATS.get(str(each.get("format"))) or _SCALARS.get(str(named))
    if kind is None:
        raise UsageError(f"the field {name!r} is not flat", hint=_NESTED)
    return kind


def _imported(path: Path, name: str) -> type[BaseModel]:
    """A model out of a file of the user's own: naming the file is asking for it to be run."""
    if not path.is_file():
        raise InputNotFound(f"there is no file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"coa_schema_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError, TypeError) as error:
        raise UsageError(f"{str(path)!r} cannot be imported: {error}", hint="Check the file.") from None
    found: object = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise UsageError(f"{str(path)!r} holds no pydantic model {name!r}", hint="class Sale(BaseModel): ...")
    found.model_rebuild(_types_namespace=vars(module))
    return found


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, enum.Enum) else value
