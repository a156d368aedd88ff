"""How servers word that a prompt is too long: the same refusal in the shape each of them gives it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from coa.testing.fault import Fault

Refuse = Callable[[int, int], Fault]
"""Makes the refusal of a prompt of ``actual`` tokens by a server that takes ``limit``: ``refuse(limit, actual)``."""


def _openai(limit: int, actual: int) -> Fault:
    return _refusal(
        f"This model's maximum context length is {limit} tokens. However, your messages resulted in {actual} tokens. "
        "Please reduce the length of the messages.",
        code="context_length_exceeded",
        type="invalid_request_error",
        param="messages",
    )


def _vllm(limit: int, actual: int) -> Fault:
    return _refusal(
        f"This model's maximum context length is {limit} tokens. However, your prompt contains {actual} input tokens. "
        f"Please reduce the length of the input prompt. (parameter=input_tokens, value={actual})",
        code=400,
        type="BadRequestError",
        param="input_tokens",
    )


def _anthropic(limit: int, actual: int) -> Fault:
    return _refusal(f"prompt is too long: {actual} tokens > {limit} maximum", type="invalid_request_error")


def _gemini(limit: int, actual: int) -> Fault:
    return _refusal(
        f"The input token count ({actual}) exceeds the maximum number of tokens allowed ({limit}).",
        code=400,
        status="INVALID_ARGUMENT",
    )


def _mistral(limit: int, actual: int) -> Fault:
    return _refusal(
        f"Prompt contains {actual} tokens and 0 draft tokens, too large for model with {limit} maximum context length",
        type="invalid_request_error",
        code=3051,
    )


def _llamacpp(limit: int, actual: int) -> Fault:
    return _refusal(
        f"request ({actual} tokens) exceeds the available context size ({limit} tokens), try increasing it",
        code=400,
        type="exceed_context_size_error",
        n_prompt_tokens=actual,
        n_ctx=limit,
    )


def _ollama(limit: int, actual: int) -> Fault:
    return _refusal(f"prompt too long; exceeded max context length by {actual - limit} tokens", type="api_error")


def _refusal(message: str, *, code: str | int | None = None, **error: Any) -> Fault:
    return Fault(status=400, message=message, code=code, error=error)


VENDORS: Mapping[str, Refuse] = MappingProxyType(
    {
        "openai": _openai,
        "vllm": _vllm,
        "anthropic": _anthropic,
        "gemini": _gemini,
        "mistral": _mistral,
        "llamacpp": _llamacpp,
        "ollama": _ollama,
    }
)
