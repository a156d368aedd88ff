"""`EchoModel`: log-probabilities of a given text, from a server whose ``/completions`` echoes its prompt (vLLM)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from coa.errors import MalformedReply
from coa.serving.base import Message, Reply, Request
from coa.serving.openai import OpenAIModel
from coa.tokens import TokenCounter

LEAST_LOGPROB = -100.0
"""Stands for minus infinity, which no sum survives."""


class EchoModel:
    """A `Model` whose reply is not new text but how likely the last message is after the others.

    The messages are joined as plain text, without a chat template. ``Reply.text`` is a JSON object: ``offsets`` (where
    each token begins in the last message, in characters) and ``logprobs`` (in nats). As any reply it is journalled,
    retried and counted by the runtime.
    """

    def __init__(self, model: OpenAIModel) -> None:
        self._model = model
        self.name = f"{model.name}+echo"

    @property
    def window(self) -> int:
        """Prompt and scored text together, in tokens."""
        return self._model.window

    @property
    def counter(self) -> TokenCounter:
        """The model's own counter."""
        return self._model.counter

    async def complete(self, request: Request) -> Reply:
        """Score the last message.

        Raises:
            RequestRejected: the server has no ``/completions``, or does not echo.
            MalformedReply: it sent no log-probabilities, or tokens that do not spell the text.
        """
        *before, last = request.messages
        scored = last.content
        parameters = {
            "prompt": f"{plain_text(before)} {scored}",
            "echo": True,
            "logprobs": 1,
            "max_tokens": 1,
            "temperature": 0,
        }
        body = await self._model.post("/completions", parameters, request)
        reply = _parsed(body, self.name)
        echoed = len(reply.rows.tokens) - reply.usage.completion_tokens
        tokens, logprobs = reply.rows.tokens[:echoed], reply.rows.token_logprobs[:echoed]
        offsets = token_offsets(tokens, scored, self.name, lead=" ")
        values = [LEAST_LOGPROB if value is None else max(LEAST_LOGPROB, value) for value in logprobs[-len(offsets) :]]
        return Reply(
            text=json.dumps({"offsets": offsets, "logprobs": values}),
            finish="stop",
            model=self.name,
            prompt_tokens=reply.usage.prompt_tokens,
            cached_tokens=reply.usage.cached_tokens,
            completion_tokens=reply.usage.completion_tokens,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._model.close()


def plain_text(messages: Sequence[Message]) -> str:
    """Messages as one text, for models without a chat template."""
    return "\n\n".join(message.content for message in messages).rstrip()


class _Rows(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]


class _Choice(BaseModel):
    logprobs: _Rows


class _Details(BaseModel):
    cached_tokens: int = 0


class Usage(BaseModel):
    """What the server counted."""

    prompt_tokens: Annotated[int, Field(ge=0)]
    completion_tokens: Annotated[int, Field(ge=0)] = 0
    prompt_tokens_details: _Details | None = None

    @property
    def cached_tokens(self) -> int:
        """Of the prompt, from the prefix cache."""
        return self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else 0


class _Body(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Usage

    @property
    def rows(self) -> _Rows:
        return self.choices[0].logprobs


def _parsed(body: Mapping[str, Any], name: str) -> _Body:
    try:
        parsed = _Body.model_validate(body)
    except ValidationError:
        raise MalformedReply(
            f"{name} sent no log-probabilities of the prompt", hint="Trace with --scorer regenerate instead."
        ) from None
    if len(parsed.rows.tokens) != len(parsed.rows.token_logprobs):
        raise MalformedReply(f"{name} sent {len(parsed.rows.tokens)} tokens and another number of log-probabilities")
    return parsed


def token_offsets(tokens: Sequence[str], scored: str, name: str, lead: str = "") -> list[int]:
    """Where the last tokens begin in the scored text, counted from its end: what stands before does not matter.

    Args:
        tokens: Of prompt and text.
        scored: The text.
        name: The model, for the error.
        lead: What stands before the text and belongs to its first token.

    Raises:
        MalformedReply: the tokens do not spell the text.
    """
    wanted = len(lead) + len(scored)
    from_end = list(accumulate(len(token) for token in reversed(tokens)))
    count = next((i + 1 for i, length in enumerate(from_end) if length >= wanted), None)
    if count is None or not "".join(tokens[-count:]).endswith(lead + scored):
        raise MalformedReply(
            f"{name} echoed tokens that do not spell the text", hint="Trace with --scorer regenerate instead."
        )
    return [max(0, len(scored) - length) for length in reversed(from_end[:count])]
