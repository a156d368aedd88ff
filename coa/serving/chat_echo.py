"""`ChatEchoModel`: log-probabilities of a given reply under the server's own chat template (vLLM).

A chat completion whose last message is the assistant's, left open (``continue_final_message``), with
``prompt_logprobs``: the prompt is then, to the token, the one that the reply was once generated from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from coa.errors import MalformedReply
from coa.serving.base import Reply, Request
from coa.serving.chat import messages_of
from coa.serving.echo import scores, token_offsets
from coa.serving.measuring import Measuring, Usage
from coa.serving.openai import OpenAIModel


class ChatEchoModel(Measuring):
    """A `Model` whose reply says how likely the last message is after the others; see `coa.serving.echo.EchoModel`."""

    def __init__(self, model: OpenAIModel) -> None:
        super().__init__(model, "chat-echo")

    async def complete(self, request: Request) -> Reply:
        """Score the last message.

        Raises:
            RequestRejected: the server does not take the parameters.
            MalformedReply: it sent no log-probabilities, or tokens that do not spell the text.
        """
        parameters = {
            "messages": messages_of(request),
            "add_generation_prompt": False,
            "continue_final_message": True,
            "prompt_logprobs": 0,
            "max_tokens": 1,
            "temperature": 0,
        }
        body = await self._model.post("/chat/completions", parameters, request)
        tokens, logprobs, usage = _parsed(body, self.name)
        offsets = token_offsets(tokens, request.messages[-1].content, self.name)
        return self._reply(scores(offsets, logprobs), usage)


class _Token(BaseModel):
    logprob: float | None
    decoded_token: str


class _Body(BaseModel):
    prompt_logprobs: Annotated[list[dict[str, _Token] | None], Field(min_length=1)]
    usage: Usage


def _parsed(body: Mapping[str, Any], name: str) -> tuple[Sequence[str], Sequence[float | None], Usage]:
    try:
        parsed = _Body.model_validate(body)
    except ValidationError:
        raise MalformedReply(
            f"{name} sent no log-probabilities of the prompt", hint="Trace with --scorer regenerate instead."
        ) from None
    # With prompt_logprobs=0 each place holds the prompt's own token and no other; the first place holds none.
    rows = [
        next(iter(row.values())) if row else _Token(logprob=None, decoded_token="") for row in parsed.prompt_logprobs
    ]
    return [row.decoded_token for row in rows], [row.logprob for row in rows], parsed.usage
