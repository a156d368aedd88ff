"""`EchoModel`: log-probabilities of a given text, from a server whose ``/completions`` echoes its prompt (vLLM)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from coa.errors import MalformedReply
from coa.serving.base import Message, Reply, Request
from coa.serving.measuring import Measuring, Usage
from coa.serving.openai import OpenAIModel

LEAST_LOGPROB = -100.0
"""Stands for minus infinity, which no sum survives."""


class EchoModel(Measuring):
    """A `Model` whose reply is not new text but how likely the last message is after the others.

    The messages are joined as plain text, without a chat template. ``Reply.text`` is a JSON object: ``offsets`` (where
    each token begins in the last message, in characters) and ``logprobs`` (in nats).
    """

    def __init__(self, model: OpenAIModel) -> None:
        super().__init__(model, "echo")

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
        return self._reply(scores(offsets, logprobs), reply.usage)


def plain_text(messages: Sequence[Message]) -> str:
    """Messages as one text, for models without a chat template."""
    return "\n\n".join(message.content for message in messages).rstrip()


class _Rows(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]


class _Choice(BaseModel):
    logprobs: _Rows


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


def scores(offsets: Sequence[int], logprobs: Sequence[float | None]) -> dict[str, Any]:
    """What such a reply holds: the last tokens' places and log-probabilities, one for each offset."""
    last = logprobs[-len(offsets) :]
    values = [LEAST_LOGPROB if value is None else max(LEAST_LOGPROB, value) for value in last]
    return {"offsets": list(offsets), "logprobs": values}


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
