"""Options declared once: a dataclass whose fields become the options of every command that takes it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def flattened(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the fields of its dataclass parameters as options of its own.

    ``def ask(files: Files, options: RunOptions)`` becomes, for typer, ``def ask(files, *, model=None, ...)``; called
    with these, it builds the ``RunOptions`` and calls the original.
    """
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: each.annotation for name, each in signature.parameters.items() if is_dataclass(each.annotation)
    }
    own = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, each in signature.parameters.items()
        if name not in groups
    ]
    shared = [parameter for group in groups.values() for parameter in _parameters(group)]

    @wraps(command)
    def call(**given: Any) -> None:
        built = {name: group(**_taken(given, group)) for name, group in groups.items()}
        command(**given, **built)

    call.__annotations__ = {}
    vars(call)["__signature__"] = signature.replace(parameters=[*own, *shared])
    return call


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            each.name, inspect.Parameter.KEYWORD_ONLY, default=_default(each), annotation=hints[each.name]
        )
        for each in fields(group)
    ]


def _default(each: Field[Any]) -> Any:
    return inspect.Parameter.empty if each.default is MISSING else each.default


def _taken(given: dict[str, Any], group: Any) -> dict[str, Any]:
    return {each.name: given.pop(each.name) for each in fields(group)}
