"""What goes over the wire: OpenAI's objects for a reply, its pieces, and the models."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from coa.serving.http.chat import MODELS, Chat
from coa.types import Answer

_PIECE = 500
"""Characters of text in a chunk."""
DONE = b"data: [DONE]\n\n"
BEAT = b": at work\n\n"
"""A comment, which clients pass over: it keeps the connection from being taken for dead."""


def models(created: int) -> dict[str, Any]:
    """What ``GET /v1/models`` lists."""
    return {"object": "list", "data": [model(name, created) for name in MODELS]}


def model(name: str, created: int) -> dict[str, Any]:
    """One of them."""
    return {"id": name, "object": "model", "created": created, "owned_by": "coa"}


def encoded(value: Mapping[str, Any]) -> bytes:
    """JSON in ASCII: no text in it can end a line, and lone surrogates (in names of files) do no harm."""
    return json.dumps(value).encode()


def event(value: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + encoded(value) + b"\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes the reply to one request, whole or in chunks."""

    chat: Chat
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: Answer) -> dict[str, Any]:
        """The reply in one object."""
        told = _told(self.chat, answer)
        message = {"role": "assistant", "content": told.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(answer), "coa": told.coa}

    def first(self) -> bytes:
        """The chunk that comes once the documents are loaded."""
        return self._chunk({"role": "assistant", "content": ""})

    def progress(self, done: int, steps: int) -> bytes:
        """A chunk without text that says how far the reading is."""
        return self._chunk({}, coa={"progress": {"done": done, "steps": steps}})

    def last(self, answer: Answer) -> Iterator[bytes]:
        """The text, what it rests on, what it cost, and the end."""
        told = _told(self.chat, answer)
        for start in range(0, len(told.text), _PIECE):
            yield self._chunk({"content": told.text[start : start + _PIECE]})
        yield self._chunk({}, finish="stop", coa=told.coa)
        if self.chat.wanted.usage:
            yield event({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)})
        yield DONE

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.chat.model}

    def _chunk(self, delta: Mapping[str, Any], *, finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self.chat.wanted.usage else {}
        return event({**self._head("chat.completion.chunk"), "choices": [choice], **usage, **more})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    text: str
    coa: dict[str, Any]


def _told(chat: Chat, answer: Answer) -> _Told:
    """The text that is shown and the object beside it. A verdict without evidence is shown as what it counts as."""
    if chat.task.kind != "verify":
        return _Told(text=answer.text, coa=answer.to_dict())
    from coa.agents.closed import without_head
    from coa.verification import verdict_of

    found = verdict_of(chat.task.query or "", answer)
    text = f"{found.verdict.upper()}\n{without_head(answer.text)}"
    return _Told(text=text, coa={**answer.to_dict(), "claim": found.claim, "verdict": found.verdict})


def _usage(answer: Answer) -> dict[str, Any]:
    """All calls of the run together, as the provider counts them."""
    usage = answer.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
