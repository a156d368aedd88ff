"""The messages of a chat as texts and files, in their order. All of it is data; nothing is looked up or fetched."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from coa.serving.http.errors import bad_field

INSTRUCTING = ("system", "developer")
_ROLES = (*INSTRUCTING, "user", "assistant", "tool", "function")
_NO_FILE = "Put the file itself there: data:application/pdf;base64,... Files are never fetched or looked up here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text, and who said it."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file's bytes, and the label that the client gave it: never a path on this machine."""

    name: str
    data: bytes


def parts_of(messages: object) -> list[Text | File]:
    """What the messages hold, empty texts left out.

    Raises:
        Refusal: a message or a part of one is of another kind, or the last message is not the user's.
    """
    if not isinstance(messages, list) or not messages:
        raise bad_field("messages", "there are no messages", "Give a document and a question about it.")
    found: list[Text | File] = []
    said = cast("list[Any]", messages)
    for place, message in enumerate(said):
        found += _parts(message, f"messages[{place}]", len(found))
    if said[-1].get("role") != "user":
        raise bad_field("messages", "the last message is not the user's", "Put the question last.")
    return found


def _parts(message: Any, where: str, before: int) -> Iterator[Text | File]:
    if not isinstance(message, dict):
        raise bad_field(where, f"{where!r} is no message", 'A message is {"role": "user", "content": ...}.')
    given = cast("dict[str, Any]", message)
    role, content = given.get("role"), given.get("content")
    if role not in _ROLES:
        raise bad_field(f"{where}.role", f"there is no role {role!r}", f"There are {', '.join(_ROLES)}.")
    if given.get("tool_calls") or given.get("function_call"):
        raise bad_field(where, "calls of tools cannot be read", "Give their results as text.")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    elif content is None and role == "assistant":
        return
    if not isinstance(content, list):
        raise bad_field(f"{where}.content", f"{f'{where}.content'!r} is no text", "Give a text, or a list of parts.")
    for place, part in enumerate(cast("list[Any]", content)):
        each = _part(part, role, f"{where}.content[{place}]", before + place)
        if isinstance(each, File) or each.text.strip():
            yield each


def _part(part: Any, role: str, where: str, number: int) -> Text | File:
    given = cast("dict[str, Any]", part) if isinstance(part, dict) else {}
    kind, text = given.get("type"), given.get("text")
    if kind in ("text", "input_text") and isinstance(text, str):
        return Text(role=role, text=text)
    if kind in ("file", "input_file"):
        file = given.get("file", given if kind == "input_file" else None)
        return _file(cast("dict[str, Any]", file) if isinstance(file, dict) else {}, where, number)
    raise bad_field(where, f"a part of type {kind!r} cannot be read", "Parts are of type text or file.")


def _file(file: Mapping[str, Any], where: str, number: int) -> File:
    data, name = file.get("file_data"), file.get("filename")
    if not isinstance(data, str):
        raise bad_field(f"{where}.file.file_data", "a file has no 'file_data'", _NO_FILE)
    if name is not None and not isinstance(name, str):
        raise bad_field(f"{where}.file.filename", "the name of a file is no text", "Give a name, or none.")
    return File(name=name or f"file-{number + 1}", data=_decoded(data, f"{where}.file.file_data"))


def _decoded(data: str, where: str) -> bytes:
    """The bytes of a data URL, or of bare base64."""
    if data.startswith("data:"):
        head, comma, data = data.partition(",")
        if not comma or not head.endswith(";base64"):
            raise bad_field(where, "a data URL is not in base64", _NO_FILE)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise bad_field(where, "a file is not in base64", _NO_FILE) from None
