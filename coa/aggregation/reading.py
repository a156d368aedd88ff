"""Before the first call of an aggregation: documents, parts, what fits into a window, and what it will cost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from coa.agents.base import Context
from coa.agents.extractor import REPAIR_TOKENS, Extractor
from coa.agents.fence import fence_for
from coa.aggregation.schema import Schema
from coa.config import Settings
from coa.documents import Document, LoadFailure
from coa.errors import UsageError, WindowTooSmall
from coa.forecast import Plan, seconds_of
from coa.pipelines.base import Calls
from coa.pipelines.window import MIN_ROOM, usable_size
from coa.prompts import Prompts
from coa.runtime.prices import price_for
from coa.serving.base import Model, Reply, Request, is_offline, prompt_tokens
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.serving.window import default_window
from coa.sources import ReadStdin, SourceLike, load_sources
from coa.split import split_text
from coa.tokens import TokenCounter
from coa.types import Chunk, Passage, Span, Task

OVERLAP = 256
"""Tokens that neighbouring parts share, at most: a record should not be longer."""

_REPLY_CAP = 4096
_REPLY_SHARE = 4
_OVERLAP_SHARE = 8
_NO_PASSAGE = Passage(text="", span=Span(doc="", start=0, end=0), part=9999, parts=9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records, and how they are told apart.

    Attributes:
        what: Which records are meant, in words; None for all that fit the schema.
        key: Fields that make a record one of a kind: rows that agree in them are one record, wherever they stand.
    """

    schema: Schema
    what: str | None = None
    key: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Everything before the first call: documents, parts, how much may be answered about each."""

    wanted: Wanted
    models: tuple[Model, ...]
    documents: tuple[Document, ...]
    failures: tuple[LoadFailure, ...]
    chunks: tuple[Chunk, ...]
    ctx: Context
    prompt: int
    reply: int
    window_tokens: int

    @cached_property
    def extractor(self) -> Extractor:
        """The agent."""
        return Extractor(self.wanted.schema, self.wanted.what)

    def document(self, doc: str) -> Document:
        """The document with this id."""
        return next(document for document in self.documents if document.id == doc)

    def plan(self, settings: Settings) -> Plan:
        """One call a part; a part whose records need to be corrected takes another."""
        n, model = len(self.chunks), self.models[0]
        calls = Calls(
            calls=n,
            serial=math.ceil(n / settings.concurrency),
            prompt_tokens=sum(chunk.tokens for chunk in self.chunks) + n * self.prompt,
            completion_tokens=n * self.reply,
        )
        price = price_for(model.name, settings.prices)
        return Plan(
            model=model.name,
            tokenizer=model.counter.label,
            window=self.window_tokens,
            topology="map",
            order="ltr",
            documents=tuple(document.source for document in self.documents),
            chunks=n,
            calls=n,
            serial_calls=calls.serial,
            prompt_tokens=calls.prompt_tokens,
            completion_tokens=calls.completion_tokens,
            cost_usd=None if price is None else price.cost(calls.prompt_tokens, calls.completion_tokens),
            seconds=None if is_offline(model.name) else seconds_of(calls) * calls.serial / n,
            warnings=("parts whose records have to be corrected are asked for a second time",),
            failures=tuple(f"{failure.path}: {failure.error.message}" for failure in self.failures),
        )

    async def close(self) -> None:
        """Close the connections of all models."""
        for model in self.models:
            await model.close()


async def prepare(
    sources: Sequence[SourceLike],
    wanted: Wanted,
    settings: Settings,
    *,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
) -> Reading:
    """Load and split, with an overlap that keeps a record at a border whole in one part at least.

    Raises:
        WindowTooSmall: no text fits beside the schema.
        InputError: no source can be loaded.
    """
    if not sources:
        raise UsageError("no document was given", hint="Name at least one file, or - for standard input.")
    documents, failures = await load_sources(sources, stdin)
    models = (model or resolve_model(settings), *resolve_fallbacks(settings))
    counter = models[0].counter
    window_tokens = settings.window or await default_window(*models)
    size = usable_size(window_tokens, counter.margin)
    task = Task(kind="aggregate", query=wanted.what)
    ctx = Context(call=_closed, counter=counter, prompts=Prompts(), fence=fence_for(documents), task=task)
    reply = min(_REPLY_CAP, size // _REPLY_SHARE)
    empty = Extractor(wanted.schema, wanted.what).request(_NO_PASSAGE, ctx, max_tokens=reply)
    prompt = prompt_tokens(empty.messages, counter) + REPAIR_TOKENS
    budget = size - reply - prompt
    if budget < MIN_ROOM:
        raise WindowTooSmall(
            f"a window of {window_tokens} tokens leaves no room for text beside the schema",
            hint=f"Give a --window of at least {int((size - budget + MIN_ROOM) * 1.4)} tokens, or a smaller schema.",
        )
    return Reading(
        wanted=wanted,
        models=models,
        documents=documents,
        failures=failures,
        chunks=await asyncio.to_thread(_split, documents, budget, models[0]),
        ctx=ctx,
        prompt=prompt,
        reply=reply,
        window_tokens=window_tokens,
    )


def _split(documents: Sequence[Document], budget: int, model: Model) -> tuple[Chunk, ...]:
    overlap = min(OVERLAP, budget // _OVERLAP_SHARE)
    found: list[Chunk] = []
    for document in documents:
        pieces = split_text(document.text, budget - overlap, model.counter)
        for start, end, tokens in overlapping(document.text, pieces, overlap, model.counter):
            found.append(Chunk(index=len(found), span=document.span(start, end), tokens=tokens))
    return tuple(found)


def overlapping(
    text: str, pieces: Sequence[tuple[int, int, int]], overlap: int, counter: TokenCounter
) -> list[tuple[int, int, int]]:
    """Pieces ``(start, end, tokens)`` that follow one another, each but the first begun earlier, as far as allowed.

    `coa.split.split` repeats whole units, at times only a few words; a record at a border needs all there is room for.
    """
    found: list[tuple[int, int, int]] = list(pieces[:1])
    for before, (start, end, tokens) in pairwise(pieces):
        early = max(before[0], start - 6 * overlap)
        while early < start and counter.count(text[early:start]) > overlap:
            early += max(1, (start - early) // 8)
        while before[0] < early < start and not text[early - 1].isspace():
            early += 1
        found.append((early, end, tokens if early == start else counter.count(text[early:end])))
    return found


async def _closed(_: Request) -> Reply:
    raise UsageError("nothing is sent while a run is prepared", hint="Use coa.aggregate.")
