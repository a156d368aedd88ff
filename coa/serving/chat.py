"""The chat-completions protocol as data: requests as messages, and a completion's JSON as a `Reply`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, cast

from coa.errors import MalformedReply, ProviderUnavailable
from coa.serving.base import FinishReason, Reply, Request

_SURROGATE = re.compile("[\ud800-\udfff]")
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filter",
    "refusal": "refusal",
}


def messages_of(request: Request) -> list[dict[str, str]]:
    """The messages as the protocol wants them; lone surrogates, which no encoding can send, become U+FFFD."""
    return [{"role": message.role, "content": sendable(message.content)} for message in request.messages]


def sendable(text: str) -> str:
    """The text with lone surrogates replaced."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return _SURROGATE.sub("\ufffd", text)
    return text


def body_of(content: bytes, *, model: str) -> Mapping[str, object]:
    """The JSON object of a response.

    Raises:
        ProviderUnavailable: it is no JSON object: cut on its way, or a page of some proxy. Sending again may help.
    """
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        kind = "an HTML page" if content.lstrip()[:1] == b"<" else "something that is not whole JSON"
        raise ProviderUnavailable(
            f"{model}: the server answered 200 with {kind}",
            status=200,
            hint="If it stays so, check --base-url: the address of an OpenAI-compatible API, ending in /v1.",
        ) from None
    return _mapping(body, "the response", model)


def reply_of(body: Mapping[str, object], *, model: str) -> Reply:
    """The reply in a chat completion.

    Raises:
        MalformedReply: it is none.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise MalformedReply(f"{model}: the server sent a completion without choices")
    choice = _mapping(cast("list[object]", choices)[0], "a choice", model)
    message = _mapping(choice.get("message") or {}, "a message", model)
    text, refused = _text(message.get("content")), _text(message.get("refusal"))
    usage = _numbers(body.get("usage"))
    return Reply(
        text=text or refused,
        finish="refusal" if refused and not text else _FINISH.get(str(choice.get("finish_reason")), "unknown"),
        model=str(body.get("model") or model),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        cached_tokens=_count(_numbers(usage.get("prompt_tokens_details")).get("cached_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _mapping(value: object, what: str, model: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise MalformedReply(f"{model}: {what} is a JSON {type(value).__name__}, not an object")
    return cast("Mapping[str, object]", value)


def _text(content: object) -> str:
    """A string, or the text parts of a list; a part that holds reasoning is not text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return "".join(_part(part) for part in cast("list[object]", content))


def _part(part: object) -> str:
    if not isinstance(part, Mapping):
        return part if isinstance(part, str) else ""
    found: Mapping[str, Any] = cast("Mapping[str, Any]", part)
    text = found.get("text")
    return text if found.get("type", "text") in ("text", "output_text") and isinstance(text, str) else ""


def _numbers(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
