"""Scripts for `ScriptedModel` in files: a list of replies, lists by role, or rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import coa.errors
from coa.errors import CoaError, ModelError, RequestRejected, UsageError
from coa.serving.base import FinishReason, Reply, Request

Scripted = str | Reply | CoaError
"""What a model does when it is called: say a text, give a whole reply, or fail."""

_FORMS = 'A script is a list of replies, {"ROLE": [replies]}, or {"rules": [{"contains": TEXT, "reply": REPLY}]}.'


def load_replies(
    path: str | Path,
) -> Sequence[Scripted] | Mapping[str, Sequence[Scripted]] | Callable[[Request], Scripted]:
    """Read a script: JSON, or JSONL with one reply a line.

    Raises:
        UsageError: the file cannot be read or is no script.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8")
        data: Any = [json.loads(line) for line in text.splitlines() if line] if _is_lines(path) else json.loads(text)
        return _parsed(data)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the script {str(path)!r}: {error}", hint="Check the path.") from None
    except ValueError as error:
        raise UsageError(f"the script {str(path)!r} is not right: {error}", hint=_FORMS) from None


def _is_lines(path: Path) -> bool:
    return path.suffix in (".jsonl", ".ndjson")


def _parsed(data: Any) -> Sequence[Scripted] | Mapping[str, Sequence[Scripted]] | Callable[[Request], Scripted]:
    if isinstance(data, list):
        return _list(data)
    if not isinstance(data, dict):
        raise ValueError(f"it holds a {type(data).__name__}")
    found = cast("dict[str, Any]", data)
    if "rules" in found:
        rules = [_rule(entry) for entry in _entries(found["rules"])]
        return lambda request: _first(rules, request)
    return {role: _list(entries) for role, entries in found.items()}


def _list(data: Any) -> list[Scripted]:
    return [_reply(entry) for entry in _entries(data)]


def _entries(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise ValueError(f"{data!r} is no list")
    return cast("list[Any]", data)


Rule = tuple[str | None, str, Scripted]


def _rule(entry: Any) -> Rule:
    if not isinstance(entry, dict) or "reply" not in entry:
        raise ValueError(f"the rule {entry!r} has no reply")
    found = cast("dict[str, Any]", entry)
    return found.get("role"), str(found.get("contains", "")), _reply(found["reply"])


def _first(rules: Sequence[Rule], request: Request) -> Scripted:
    prompt = "\n".join(message.content for message in request.messages)
    for role, piece, reply in rules:
        if role in (None, request.role) and piece in prompt:
            return reply
    return RequestRejected(f"no rule of the script fits a call of role {request.role!r}", hint=_FORMS)


def _reply(entry: Any) -> Scripted:
    if isinstance(entry, str):
        return entry
    if not isinstance(entry, dict):
        raise ValueError(f"{entry!r} is no reply")
    found = cast("dict[str, Any]", entry)
    return _error(found) if "error" in found else _whole(found)


def _whole(found: dict[str, Any]) -> Reply:
    finish = found.get("finish", "stop")
    if finish not in get_args(FinishReason):
        raise ValueError(f"{finish!r} is no finish; choose one of {', '.join(get_args(FinishReason))}")
    values: dict[str, Any] = {"model": "scripted", **found, "finish": finish, "text": str(found.get("text", ""))}
    try:
        return Reply(**values)
    except TypeError as error:
        raise ValueError(f"{found!r} is no reply: {error}") from None


def _error(found: dict[str, Any]) -> CoaError:
    name = found["error"]
    kind = getattr(coa.errors, str(name), None)
    if not (isinstance(kind, type) and issubclass(kind, ModelError)):
        raise ValueError(f"{name!r} is no error of a model")
    values = {key: value for key, value in found.items() if key not in ("error", "message")}
    try:
        return kind(str(found.get("message", "as the script says")), **values)
    except TypeError as error:
        raise ValueError(f"{found!r} is no error: {error}") from None
