"""The bodies that the fault server sends: completions, streams and error objects, healthy or bent by a `Fault`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from coa.testing.fault import Fault

_WORDS_A_PIECE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """A reply before it is put into JSON."""

    text: str
    finish: str
    model: str
    prompt_tokens: int
    completion_tokens: int


def prompt_of(body: Mapping[str, Any]) -> str:
    """All text of the request's messages."""
    return "\n".join(_content(message.get("content")) for message in body.get("messages") or ())


def embeddings(body: Mapping[str, Any], embed: Callable[[str], Sequence[float]]) -> bytes:
    """The vectors of the texts of a request, the last one first: clients go by ``index``."""
    texts = cast("list[str]", body["input"])
    data = [{"object": "embedding", "index": place, "embedding": [*embed(text)]} for place, text in enumerate(texts)]
    return json.dumps({"object": "list", "model": body.get("model"), "data": data[::-1]}).encode()


def bound_of(body: Mapping[str, Any]) -> int | None:
    """The upper bound of the reply that the request asks for, whatever it calls it."""
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    return bound if isinstance(bound, int) else None


def error_body(fault: Fault) -> bytes:
    """An error object as OpenAI sends it, with the fault's own fields."""
    error = {"message": fault.message, "type": "injected", "param": None, "code": fault.code, **fault.error}
    return json.dumps({"error": error}).encode()


def completion(spoken: Spoken, fault: Fault) -> bytes:
    """A whole chat completion."""
    message = {"role": "assistant", "content": spoken.text, "refusal": None, **fault.message_fields}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": spoken.finish, **fault.choice}
    body = {**_envelope(spoken, "chat.completion"), "choices": [choice], "usage": _usage(spoken), **fault.completion}
    return json.dumps(body).encode()


def stream(spoken: Spoken, fault: Fault) -> bytes:
    """A streamed chat completion: server-sent events, usage included."""
    return b"".join(b"data: " + event + b"\n\n" for event in _events(spoken, fault))


def _events(spoken: Spoken, fault: Fault) -> Iterator[bytes]:
    words = spoken.text.split(" ")
    for at in range(0, len(words), _WORDS_A_PIECE):
        rest = " " if at + _WORDS_A_PIECE < len(words) else ""
        yield _delta(spoken, {"role": "assistant", "content": " ".join(words[at : at + _WORDS_A_PIECE]) + rest}, None)
    if fault.endless:
        return
    if fault.stream == "error_event":
        yield error_body(fault)
        return
    if fault.stream == "bad_json":
        yield b'{"id": "chatcmpl-1", "choices": [{"delta"'
    if fault.stream != "no_finish":
        yield _delta(spoken, {}, fault.choice.get("finish_reason", spoken.finish))
    yield json.dumps({**_envelope(spoken, "chat.completion.chunk"), "choices": [], "usage": _usage(spoken)}).encode()
    if fault.stream != "no_done":
        yield b"[DONE]"


def _delta(spoken: Spoken, delta: Mapping[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({**_envelope(spoken, "chat.completion.chunk"), "choices": [choice]}).encode()


def _envelope(spoken: Spoken, kind: str) -> dict[str, Any]:
    ident = hashlib.sha256(spoken.text.encode("utf-8", "replace")).hexdigest()[:24]
    return {"id": f"chatcmpl-{ident}", "object": kind, "created": 1_700_000_000, "model": spoken.model}


def _usage(spoken: Spoken) -> dict[str, Any]:
    prompt, reply = spoken.prompt_tokens, spoken.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}


def _content(content: Any) -> str:
    if isinstance(content, list):
        parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
        return "".join(str(part.get("text", "")) for part in parts)
    return str(content or "")
