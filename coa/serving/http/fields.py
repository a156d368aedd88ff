"""The fields of a chat request that are not its messages: what is obeyed, what is refused, what is ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from coa.serving.http.errors import bad_field


def _unless(*allowed: Any) -> Callable[[Any], bool]:
    return lambda value: value in (None, *allowed)


_HARMLESS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "n": _unless(1),
        "tools": _unless([]),
        "functions": _unless([]),
        "tool_choice": _unless("none", "auto"),
        "function_call": _unless("none", "auto"),
        "response_format": lambda value: value is None or value == {"type": "text"},
        "stop": _unless([], ""),
        "logprobs": _unless(False),
        "top_logprobs": _unless(0),
        "logit_bias": _unless({}),
        "modalities": _unless([], ["text"]),
        "audio": _unless(),
        "web_search_options": _unless(),
    }
)
"""Fields whose value, if it is another, the reply would not honour: whoever sets them would be misled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the fields ask for; ``words`` and ``choices`` are those of the field ``coa``."""

    stream: bool = False
    usage: bool = False
    words: int | None = None
    choices: tuple[str, ...] = ()


def wanted_of(body: Mapping[str, Any]) -> Wanted:
    """Read the fields.

    Raises:
        Refusal: one has a value that cannot be honoured; it is named.
    """
    for name, harmless in _HARMLESS.items():
        if not harmless(body.get(name)):
            hint = f"Leave {name!r} out: the pipelines answer one text, with citations."
            raise bad_field(name, f"{name!r} cannot be honoured", hint)
    options = _object(body, "stream_options")
    words, choices = _own(_object(body, "coa"))
    return Wanted(stream=_flag(body, "stream"), usage=_flag(options, "include_usage"), words=words, choices=choices)


def _own(given: Mapping[str, Any]) -> tuple[int | None, tuple[str, ...]]:
    """The field ``coa``: ours, so that nothing in it is ignored."""
    for name in given:
        if name not in ("words", "choices"):
            raise bad_field(f"coa.{name}", f"there is no {f'coa.{name}'!r}", "There are coa.words and coa.choices.")
    words: Any = given.get("words")
    if words is not None and (not isinstance(words, int) or isinstance(words, bool) or words < 1):
        raise bad_field("coa.words", f"{words!r} is no number of words", "Give a positive whole number.")
    choices: Any = given.get("choices") or []
    if not isinstance(choices, list) or not all(isinstance(each, str) for each in cast("list[Any]", choices)):
        raise bad_field("coa.choices", "the choices are no list of texts", 'Give ["yes", "no"], for instance.')
    return words, tuple(cast("list[str]", choices))


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value: Any = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_field(name, f"{name!r} is no object", "Give an object, or leave it out.")
    return cast("dict[str, Any]", value)


def _flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value not in (None, True, False):
        raise bad_field(name, f"{name!r} is neither true nor false", "Give true or false.")
    return bool(value)
