"""Many questions over the same documents: the file they stand in, and what is left of the limits after each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from coa.config import Settings
from coa.errors import UsageError
from coa.textfile import read_text
from coa.types import Asked, Task, Usage

_HINT = 'Each line is a JSON object with a text: {"id": "q1", "question": "Who kept the light?"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and the name it goes by: its ``id``, or the number of its line. A closed one has ``choices``."""

    id: str
    text: str
    choices: tuple[str, ...] = ()


def read_questions(path: str | Path) -> list[Question]:
    """The questions of a file: one JSON object a line with ``question`` and perhaps ``id`` and ``choices``.

    Blank lines do not count.

    Raises:
        InputNotFound: there is no such file.
        InputUnreadable: it cannot be read as UTF-8.
        UsageError: a line is no such object, an id comes twice, or there is no question at all.
    """
    lines = read_text(path).split("\n")
    found = [_question(line, number, path) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise UsageError(f"{str(path)!r} holds no question", hint=_HINT)
    seen: set[str] = set()
    for question in found:
        if question.id in seen:
            raise UsageError(f"{str(path)!r} has the id {question.id!r} twice", hint="Give each question its own id.")
        seen.add(question.id)
    return found


def _question(line: str, number: int, path: str | Path) -> Question:
    try:
        read: object = json.loads(line)
    except (ValueError, RecursionError):
        read = None
    given = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    text, name = given.get("question"), given.get("id", number)
    if not isinstance(text, str) or not text.strip() or not isinstance(name, str | int):
        raise UsageError(f"line {number} of {str(path)!r} is no question", hint=_HINT)
    return Question(id=str(name), text=text, choices=_choices(given.get("choices", []), number, path))


def _choices(given: object, number: int, path: str | Path) -> tuple[str, ...]:
    listed = cast("list[object]", given) if isinstance(given, list) else [None]
    choices = tuple(choice for choice in listed if isinstance(choice, str))
    if len(choices) < len(listed):
        raise UsageError(
            f"the choices in line {number} of {str(path)!r} are no list of texts", hint='"choices": ["yes", "no"]'
        )
    return choices


def left_after(settings: Settings, spent: Usage) -> Settings:
    """The settings with what is left of the limits in money, tokens and calls: they hold for all questions together."""
    changes: dict[str, object] = {}
    if settings.max_calls is not None:
        changes["max_calls"] = max(0, settings.max_calls - spent.calls)
    if settings.max_tokens is not None:
        changes["max_tokens"] = max(0, settings.max_tokens - spent.prompt_tokens - spent.completion_tokens)
    if settings.max_cost is not None and spent.cost_usd is not None:
        changes["max_cost"] = max(0.0, settings.max_cost - spent.cost_usd)
    return settings.model_copy(update=changes)


def batched(questions: Sequence[Question], size: int, kind: Task) -> list[tuple[tuple[Question, ...], Task]]:
    """The questions in groups that share a reading, each with its task; ``kind`` says how to answer.

    Raises:
        UsageError: the size is none, or each question has follow-up questions of its own.
    """
    if size < 1:
        raise UsageError(f"{size} questions cannot share a reading", hint="Give --batch 1 or more.")
    if size > 1 and kind.rounds is not None:
        raise UsageError("follow-up questions share no reading", hint="Leave --batch out, or --rounds.")
    groups = [tuple(questions[start : start + size]) for start in range(0, len(questions), size)]
    return [(group, _shared(group, kind)) for group in groups]


def _shared(group: tuple[Question, ...], kind: Task) -> Task:
    asked = tuple(Asked(query=question.text, choices=question.choices or kind.choices) for question in group)
    if len(asked) == 1:
        return replace(kind, query=asked[0].query, choices=asked[0].choices)
    listed = "\n".join(f"{number}. {question.text}" for number, question in enumerate(group, 1))
    return replace(kind, query=listed, choices=(), batch=asked)
