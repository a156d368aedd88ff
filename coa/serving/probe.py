"""`ProbeModel`: how sure a chat model is of the answer *Yes*, from the log-probabilities of its first token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from coa.errors import MalformedReply
from coa.serving.base import Reply, Request
from coa.serving.chat import messages_of
from coa.serving.measuring import Measuring, Usage
from coa.serving.openai import OpenAIModel

_TOP = 20
_LEAST = 1e-9


class ProbeModel(Measuring):
    """A `Model` whose reply is ``{"logit": x}``: log P(Yes) - log P(No) of the first token.

    P(True) of arXiv 2207.05221, section 3. Chat servers that send ``top_logprobs`` will do.
    """

    def __init__(self, model: OpenAIModel) -> None:
        super().__init__(model, "ptrue")

    async def complete(self, request: Request) -> Reply:
        """Ask for one token.

        Raises:
            RequestRejected: the server does not take the parameters.
            MalformedReply: it sent no log-probabilities.
        """
        parameters = {
            "messages": messages_of(request),
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": _TOP,
        }
        body = _parsed(await self._model.post("/chat/completions", parameters, request), self.name)
        return self._reply({"logit": _logit(body.choices[0].logprobs.content[0].top_logprobs)}, body.usage)


class _Likely(BaseModel):
    token: str
    logprob: float


class _Place(BaseModel):
    top_logprobs: list[_Likely]


class _Logprobs(BaseModel):
    content: Annotated[list[_Place], Field(min_length=1)]


class _Choice(BaseModel):
    logprobs: _Logprobs


class _Body(BaseModel):
    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Usage


def _parsed(body: Mapping[str, Any], name: str) -> _Body:
    try:
        return _Body.model_validate(body)
    except ValidationError:
        raise MalformedReply(
            f"{name} sent no log-probabilities of its reply", hint="Trace with --scorer regenerate instead."
        ) from None


def _logit(likely: Iterable[_Likely]) -> float:
    """From the tokens that read as yes or no, whatever their case and blanks; what is not listed is unlikely."""
    chances = {"yes": _LEAST, "no": _LEAST}
    for each in likely:
        word = each.token.strip().lower().strip("\"'.*")
        if word in chances:
            chances[word] += math.exp(min(0.0, each.logprob))
    return math.log(chances["yes"]) - math.log(chances["no"])
