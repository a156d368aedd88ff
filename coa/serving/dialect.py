"""How one server spells the same request: which parameters it takes, learned from its first refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from coa.serving.base import Request
from coa.serving.chat import messages_of
from coa.serving.errors import Failure

_REASONING = re.compile(r"(?:o\d|gpt-(?:[5-9]|\d\d))(?!.*chat)")
_NOT_TAKEN = re.compile(
    r"not supported|unsupported|does not support|unrecogni[sz]ed|unknown|unexpected|not permitted|not allowed", re.I
)
_LIMITS = ("max_tokens", "max_completion_tokens")

_WINDOWS = (
    ("gpt-4.1", 1_000_000),
    ("gpt-4o", 128_000),
    ("gpt-4-turbo", 128_000),
    ("gpt-4-32k", 32_000),
    ("gpt-4", 8_192),
    ("gpt-3.5-turbo", 16_385),
    ("o1-mini", 128_000),
    ("o1", 200_000),
    ("o3", 200_000),
    ("o4", 200_000),
    ("gpt-5", 272_000),
    ("gpt-6", 272_000),
)
"""OpenAI's own, by the beginning of the name. For gpt-5 and later: what the smallest of them takes as a prompt."""


def known_window(name: str) -> int | None:
    """The window of a well-known OpenAI model."""
    if "chat" in name and name.startswith("gpt-5"):
        return 128_000
    return next((window for prefix, window in _WINDOWS if name.startswith(prefix)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The parameters that a server takes.

    Attributes:
        limit: What the bound of the reply is called.
        temperature: Whether a temperature may be given.
        seed: Whether a seed may be given.
        stream_usage: Whether a stream may be asked for its counts of tokens.
        effort: How long a reasoning model may think; None leaves it out.
    """

    limit: str = "max_tokens"
    temperature: bool = True
    seed: bool = True
    stream_usage: bool = True
    effort: str | None = None

    def parameters(self, name: str, request: Request) -> dict[str, Any]:
        """The arguments of one chat completion."""
        found: dict[str, Any] = {"model": name, "messages": messages_of(request), self.limit: request.max_tokens}
        if self.temperature:
            found["temperature"] = request.temperature
        if self.seed and request.seed is not None:
            found["seed"] = request.seed
        if self.effort is not None:
            found["reasoning_effort"] = self.effort
        return found

    def streamed(self, name: str, request: Request) -> dict[str, Any]:
        """The arguments of a completion that is streamed, beyond ``stream`` itself."""
        options = {"stream_options": {"include_usage": True}} if self.stream_usage else {}
        return {**self.parameters(name, request), **options}

    def after(self, failure: Failure) -> Dialect | None:
        """The dialect to try instead, if the server refused one of the parameters by name; otherwise None."""
        if failure.status not in (400, 422):
            return None
        said = f"{failure.message} {failure.error.get('code')}"
        if not _NOT_TAKEN.search(said):
            return None
        changed = self._without(_named(failure.error, failure.message))
        return changed if changed != self else None

    def _without(self, name: str | None) -> Dialect:
        if name == self.limit:
            return replace(self, limit=_LIMITS[1 - _LIMITS.index(name)])
        changes: Mapping[str, dict[str, Any]] = {
            "temperature": {"temperature": False},
            "seed": {"seed": False},
            "stream_options": {"stream_usage": False},
            "reasoning_effort": {"effort": None},
        }
        return replace(self, **changes.get(name or "", {}))


def dialect_for(name: str, *, official: bool) -> Dialect:
    """The dialect to begin with: OpenAI's own reasoning models take no temperature and call the bound otherwise."""
    if official and _REASONING.match(name):
        return Dialect(limit="max_completion_tokens", temperature=False, effort="low")
    return Dialect(limit="max_completion_tokens") if official else Dialect()


def _named(error: Mapping[str, object], message: str) -> str | None:
    """The parameter that a refusal is about: the one named first."""
    names = (*_LIMITS, "temperature", "seed", "stream_options", "reasoning_effort")
    if error.get("param") in names:
        return str(error["param"])
    found = re.search(rf"\b({'|'.join(names)})\b", message)
    return found[1] if found else None
