"""`ScoringModel`: log-probabilities of a given reply, by the cheaper of vLLM's two ways.

*Whole*: one call with ``prompt_logprobs``, which never reads the prefix cache and computes every token of prompt and
reply. *Cached*: the prompt up to each token of the reply, asked what it thinks of that token (``logprob_token_ids``);
this computes only what the cache does not hold. Both give the same raw log-probabilities.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urljoin

from pydantic import BaseModel, Field, ValidationError

from coa.errors import MalformedReply, ModelError, ProviderUnavailable
from coa.serving.base import Reply, Request
from coa.serving.chat import messages_of
from coa.serving.chat_echo import ChatEchoModel
from coa.serving.echo import scores
from coa.serving.measuring import Measuring, Usage
from coa.serving.openai import OpenAIModel
from coa.serving.vllm.probe import probe

ROW_TOKENS = 16
"""What one more row of a batch is counted as, beside its tokens."""
_MOST_BLOCKS = 100_000


class PrefixBlocks:
    """What a server's prefix cache should hold: whole blocks of the prompts that were sent, oldest forgotten first.

    Args:
        size: Tokens a block, as the server says.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._known: dict[int, None] = {}

    def add(self, ids: Sequence[int]) -> None:
        """A prompt that was computed."""
        for name in self._names(ids):
            self._known[name] = None
        while len(self._known) > _MOST_BLOCKS:
            del self._known[next(iter(self._known))]

    def held(self, ids: Sequence[int]) -> int:
        """Tokens of a prompt that need not be computed; the last one always must."""
        held = 0
        for name in self._names(ids[:-1]):
            if name not in self._known:
                break
            held += self.size
        return held

    def forget(self) -> None:
        """The server holds less than was thought."""
        self._known.clear()

    def rows_cost(self, ids: Sequence[int], start: int) -> int:
        """What it costs to ask for the tokens from ``start`` on one by one, in tokens computed."""
        rows = len(ids) - start
        return len(ids) - 1 - self.held(ids[:-1]) + self.others(ids, start) + ROW_TOKENS * rows

    def others(self, ids: Sequence[int], start: int) -> int:
        """Tokens computed for all rows but the longest, which has filled the cache for them."""
        return sum(length - (length - 1) // self.size * self.size for length in range(start, len(ids) - 1))

    def _names(self, ids: Sequence[int]) -> list[int]:
        names: list[int] = []
        name = 0
        for end in range(self.size, len(ids) + 1, self.size):
            name = hash((name, tuple(ids[end - self.size : end])))
            names.append(name)
        return names


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """The tokens of a reply, as the server cut it, and where they begin in it."""

    ids: tuple[int, ...]
    offsets: tuple[int, ...]


class ScoringModel(Measuring):
    """A `Model` whose reply says how likely the last message is after the others; see `coa.serving.echo.EchoModel`.

    The first time a reply is scored whole. Later the server's tokenizer, the size of its cache's blocks and what was
    sent before say which way computes less. A server that is no vLLM, keeps no prefixes, or reads prompts sparsely
    (where the two ways would differ) is asked the first way alone.
    """

    def __init__(self, model: OpenAIModel) -> None:
        super().__init__(model, "chat-echo")
        self._whole = ChatEchoModel(model)
        self._learning = asyncio.Lock()
        self._blocks: PrefixBlocks | None = None
        self._asked = False
        self._replies: dict[str, _Known] = {}
        self.calls = {"whole": 0, "cached": 0}
        """How often each way was taken."""

    async def complete(self, request: Request) -> Reply:
        """Score the last message.

        Raises:
            RequestRejected: the server does not take the parameters.
            MalformedReply: it sent no log-probabilities, or tokens that do not spell the text.
        """
        blocks = await self._cache()
        ids = await self._tokens(request) if blocks is not None else None
        if blocks is None or ids is None:
            return await self._whole.complete(request)
        known = self._replies.get(request.messages[-1].content)
        if known is not None and tuple(ids[-len(known.ids) :]) == known.ids:
            start = len(ids) - len(known.ids)
            if start > 0 and blocks.rows_cost(ids, start) < len(ids):
                reply = await self._rows(request, ids, start, known, blocks)
                if reply is not None:
                    return reply
        reply = await self._whole.complete(request)
        self.calls["whole"] += 1
        blocks.add(ids)
        offsets: list[int] = json.loads(reply.text)["offsets"]
        if reply.prompt_tokens == len(ids):
            scored = _Known(ids=tuple(ids[-len(offsets) :]), offsets=tuple(offsets))
            self._replies[request.messages[-1].content] = scored
        return reply

    async def _cache(self) -> PrefixBlocks | None:
        """The account of the server's prefix cache; None where it has none, or is no vLLM."""
        async with self._learning:
            if not self._asked:
                self._asked = True
                try:
                    found = await asyncio.to_thread(probe, self._model.base_url)
                except ProviderUnavailable:
                    return None
                if found.caching and found.block and found.attention is None:
                    self._blocks = PrefixBlocks(found.block)
        return self._blocks

    async def _tokens(self, request: Request) -> list[int] | None:
        """Of prompt and reply, by the server's own template and tokenizer; None where it has no such door."""
        parameters = {
            "messages": messages_of(request),
            "add_generation_prompt": False,
            "continue_final_message": True,
        }
        try:
            body = await self._model.post(urljoin(self._model.base_url, "/tokenize"), parameters, request)
            return _Tokens.model_validate(body).tokens
        except (ModelError, ValidationError):
            self._blocks = None
            return None

    async def _rows(
        self, request: Request, ids: list[int], start: int, known: _Known, blocks: PrefixBlocks
    ) -> Reply | None:
        """Each token asked for behind what stands before it; None if the server does not play."""
        expected = blocks.held(ids[:-1])
        try:
            # The longest first: what it computes serves all the others.
            last = await self._ask(request, [ids[:-1]], ids[-1:])
            rest = await self._ask(request, [ids[:end] for end in range(start, len(ids) - 1)], ids[start:-1])
        except MalformedReply:
            self._blocks = None
            return None
        if last.usage.cached_tokens < expected // 2:
            blocks.forget()
        blocks.add(ids[:-1])
        self.calls["cached"] += 1
        # For a batch vLLM reports what one row took from the cache, so the others are counted here; each token counts
        # once, however many rows repeat it.
        computed = last.usage.prompt_tokens - last.usage.cached_tokens + blocks.others(ids, start)
        usage = Usage.counted(len(ids), cached=max(0, len(ids) - computed))
        return self._reply(scores(known.offsets, (*rest.values, *last.values)), usage)

    async def _ask(self, request: Request, prompts: list[list[int]], wanted: list[int]) -> _Rows:
        """The log-probability of one token behind each prompt.

        Raises:
            MalformedReply: the server does not give them.
        """
        if not prompts:
            return _Rows(values=[], usage=Usage(prompt_tokens=0))
        parameters = {
            "prompt": prompts,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": 1,
            "logprob_token_ids": sorted(set(wanted)),
            "return_tokens_as_token_ids": True,
        }
        return _read(await self._model.post("/completions", parameters, request), wanted, self.name)


class _Tokens(BaseModel):
    tokens: Annotated[list[int], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    values: list[float]
    usage: Usage


class _Logprobs(BaseModel):
    top_logprobs: Annotated[list[dict[str, float]], Field(min_length=1)]


class _Choice(BaseModel):
    index: int
    logprobs: _Logprobs


class _Body(BaseModel):
    choices: list[_Choice]
    usage: Usage


def _read(body: Mapping[str, Any], wanted: Sequence[int], name: str) -> _Rows:
    try:
        parsed = _Body.model_validate(body)
        choices = sorted(parsed.choices, key=lambda choice: choice.index)
        values = [
            choice.logprobs.top_logprobs[0][f"token_id:{token}"] for choice, token in zip(choices, wanted, strict=True)
        ]
    except (ValidationError, KeyError, ValueError):
        raise MalformedReply(f"{name} sent no log-probabilities of the tokens that were asked for") from None
    return _Rows(values=values, usage=parsed.usage)
