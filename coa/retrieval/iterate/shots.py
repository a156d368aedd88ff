"""Worked examples from a file: one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from coa.errors import UsageError
from coa.textfile import read_text
from coa.types import Shot, Step

_HINT = (
    'Each line is a JSON object: {"question": "...", "answer": "..."}, with perhaps "passages": ["..."] and '
    '"steps": [{"question": "...", "answer": "..."}].'
)


def read_shots(path: str | Path) -> tuple[Shot, ...]:
    """The examples of a file; blank lines do not count.

    Raises:
        InputNotFound: there is no such file.
        InputUnreadable: it cannot be read as UTF-8.
        UsageError: a line is no example, or there is none at all.
    """
    lines = read_text(path).split("\n")
    found = [_shot(line, f"line {number} of {str(path)!r}") for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"{str(path)!r} holds no example", hint=_HINT)
    return tuple(found)


def _shot(line: str, where: str) -> Shot:
    try:
        read: object = json.loads(line)
    except (ValueError, RecursionError):
        read = None
    given = _object(read, where)
    passages, steps = given.get("passages", []), given.get("steps", [])
    if not isinstance(passages, list) or not isinstance(steps, list):
        raise _bad(where)
    texts = cast("list[object]", passages)
    if not all(isinstance(text, str) for text in texts):
        raise _bad(where)
    return Shot(
        question=_text(given, "question", where),
        answer=_text(given, "answer", where),
        passages=tuple(str(text) for text in texts),
        steps=tuple(
            Step(question=_text(step, "question", where), answer=_text(step, "answer", where))
            for step in (_object(each, where) for each in cast("list[object]", steps))
        ),
    )


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(where)
    return cast("dict[str, Any]", value)


def _text(given: dict[str, Any], name: str, where: str) -> str:
    value = given.get(name)
    if not isinstance(value, str) or not value.strip():
        raise _bad(where)
    return value


def _bad(where: str) -> UsageError:
    return UsageError(f"{where} is no example", hint=_HINT)
