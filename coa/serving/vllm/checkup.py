"""Does a server do what this project needs of it? Asked by using it: two short replies and a few log-probabilities."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any, cast

from coa.errors import ProviderUnavailable
from coa.serving.vllm.probe import Findings, ask

_LONG = "The lamp on the pier was lit at six and put out at seven. "
_REPEATS = 40
"""Enough for several blocks of any prefix cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was tried. ``works`` is None where it was not worth trying."""

    subject: str
    works: bool | None
    state: str
    mend: str = ""


def checkup(found: Findings, key: str | None = None) -> tuple[Check, ...]:
    """Try chat, the prefix cache and log-probabilities of a prompt, in this order, with the first model of a server."""
    model = found.models[0] if found.models else ""
    # A prompt that nobody sent before: what the second reply takes from the cache, the first one put there.
    text = f"{secrets.token_hex(8)} {_LONG * _REPEATS}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": 2,
        "temperature": 0,
    }
    try:
        first = ask(found.url, "/v1/chat/completions", body, key)
    except ProviderUnavailable as error:
        mend = "A base model has no chat template: give vLLM one, -- --chat-template FILE."
        return (Check(subject="chat", works=False, state=error.message, mend=mend),)
    return (_chat(first), _cache(ask(found.url, "/v1/chat/completions", body, key)), _scores(found, body, key))


def _chat(reply: dict[str, Any]) -> Check:
    whole = isinstance(reply.get("choices"), list) and bool(reply["choices"]) and isinstance(reply.get("usage"), dict)
    return Check(
        subject="chat",
        works=whole,
        state="answers" if whole else "answers with something that is no chat completion",
        mend="" if whole else "Is this an OpenAI-compatible server?",
    )


def _cache(again: dict[str, Any]) -> Check:
    usage = cast("dict[str, Any]", again.get("usage") or {})
    details = usage.get("prompt_tokens_details")
    if not isinstance(details, dict):
        mend = "Start vLLM with --enable-prompt-tokens-details, as coa vllm does."
        return Check(subject="cached tokens", works=False, state="the server does not report them", mend=mend)
    cached = cast("dict[str, Any]", details).get("cached_tokens") or 0
    return Check(
        subject="cached tokens",
        works=cached > 0,
        state=f"{cached} of {usage.get('prompt_tokens')} tokens of a prompt that was sent twice",
        mend="" if cached else "Start vLLM with --enable-prefix-caching.",
    )


def _scores(found: Findings, body: dict[str, Any], key: str | None) -> Check:
    asked = {**body, "max_tokens": 1, "prompt_logprobs": 0}
    try:
        reply = ask(found.url, "/v1/chat/completions", asked, key)
    except ProviderUnavailable:
        reply = {}
    given = bool(reply.get("prompt_logprobs"))
    state = "given: coa trace is exact" if given else "not given: coa trace can only ask again and compare"
    return Check(subject="log-probabilities", works=given, state=state)
