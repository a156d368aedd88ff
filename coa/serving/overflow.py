"""Does a refusal say that the prompt is too long, and by how much? Every server words it in its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"})
_PARAMS = frozenset({"input_tokens", "input_text"})
_LONGEST = 4000
_NUMBER = r"(\d[\d,]*)"


def _pattern(text: str) -> re.Pattern[str]:
    """``{limit}`` and ``{actual}`` stand for the two numbers, a space for any white space."""
    for name in ("limit", "actual"):
        text = text.replace("{" + name + "}", _NUMBER.replace("(", f"(?P<{name}>", 1))
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE)


_WORDINGS = tuple(
    _pattern(text)
    for text in (
        r"maximum context length is {limit} tokens.{0,80}?\({actual} in (?:your|the) (?:prompt|messages)",
        r"maximum context length is {limit} tokens.{0,120}?(?:contains|resulted in|request has|requested) "
        r"{actual} (?:input )?tokens",
        r"maximum context length (?:is|of) {limit}",
        r"prompt is too long: {actual} tokens > {limit}",
        r"exceed context limit: {actual} \+ \d+ > {limit}",
        r"input token count \(?{actual}\)? exceeds the maximum number of tokens allowed \(?{limit}",
        r"input token count exceeds the maximum number of tokens allowed \(?{limit}",
        r"prompt contains {actual} tokens.{0,80}?too large for model with {limit} maximum context length",
        r"request \({actual} tokens\) exceeds the available context size \({limit} tokens\)",
        r"requested tokens \({actual}\) exceed context window of {limit}",
        r"max_new_tokens` must be <= {limit}\. given: {actual} `inputs`",
        r"request too large.{0,200}?limit:? {limit}, requested:? {actual}",
        r"cannot be greater than max_model_len={limit}",
        r"max_tokens must be at least 1, got (?:0|-\d+)",
        r"exceeds the available context size",
        r"exceeds the context window",
        r"exceed(?:s|ed) (?:the )?max(?:imum)? context length",
        r"input length exceeds (?:the )?(?:maximum )?context length",
        r"input is too long for requested model",
        r"prompt is too long",
        r"too large for model with \d+ maximum context length",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow:
    """What a server said about a prompt that is too long; both in its own tokens, None where it did not say."""

    limit: int | None = None
    actual: int | None = None


def overflow_in(message: str, error: Mapping[str, object]) -> Overflow | None:
    """Read a refusal; None if it is about something else.

    Args:
        message: The server's text.
        error: The error object around it: ``code``, ``type``, ``param`` and what some servers add.
    """
    for wording in _WORDINGS:
        if found := wording.search(message[:_LONGEST]):
            numbers = found.groupdict()
            return Overflow(limit=_number(numbers.get("limit")), actual=_number(numbers.get("actual")))
    if {error.get("code"), error.get("type")} & _CODES or error.get("param") in _PARAMS:
        return Overflow(limit=_number(error.get("n_ctx")), actual=_number(error.get("n_prompt_tokens")))
    return None


def _number(value: object) -> int | None:
    text = str(value or "").replace(",", "")
    return int(text) if text.isdigit() and len(text) < 12 else None
