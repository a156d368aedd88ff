"""Listwise reranking by a language model: under the run's budget, kept in its journal, and honest about its repairs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.base import REPAIR_RESERVE, Context
from coa.agents.fence import fence_for
from coa.agents.ranker import Permutation, Ranker
from coa.config import Settings
from coa.documents import Document
from coa.errors import DeadlineExceeded, InvalidReply, UsageError, WindowTooSmall
from coa.events import Emit, RunStarted, StepDone, Warned, ignore
from coa.forecast import Plan, seconds_of
from coa.pipelines.base import Calls
from coa.pipelines.window import usable_size
from coa.prompts import Prompts
from coa.report import answer_to_json
from coa.retrieval.base import Hit
from coa.retrieval.rerank.base import Repairs, Reranked, scored
from coa.retrieval.rerank.windows import Listwise, Schedule, schedule
from coa.runtime.caller import Caller, caller_for
from coa.runtime.manifest import Manifest, new_manifest
from coa.runtime.prices import price_for
from coa.runtime.runs import open_journal
from coa.serving.base import Model, Reply, Request, is_offline, prompt_tokens
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.serving.window import default_window
from coa.types import Answer, Source, Task

_REPLY_BASE, _REPLY_A_PASSAGE = 256, 12
_LABEL_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A ranking before its first call."""

    query: str
    hits: tuple[Hit, ...]
    models: tuple[Model, ...]
    ctx: Context
    texts: tuple[str, ...]
    schedule: Schedule
    sizes: tuple[int, ...]
    prompt: int
    window_tokens: int

    def plan(self, settings: Settings) -> Plan:
        """Calls, tokens and money, at most; a ranking that has to be asked for again adds a call."""
        model = self.models[0]
        counts = [end - start for start, end in self.schedule.windows]
        largest = sorted(self.sizes, reverse=True)
        calls = Calls(
            calls=len(counts),
            serial=len(counts),
            prompt_tokens=sum(self.prompt + sum(largest[:count]) for count in counts),
            completion_tokens=sum(map(_reply_tokens, counts)),
        )
        price = price_for(model.name, settings.prices)
        return Plan(
            model=model.name,
            tokenizer=model.counter.label,
            window=self.window_tokens,
            topology=self.schedule.method,
            order="score",
            documents=_sources(self.hits),
            chunks=len(self.hits),
            calls=calls.calls,
            serial_calls=calls.serial,
            prompt_tokens=calls.prompt_tokens,
            completion_tokens=calls.completion_tokens,
            cost_usd=None if price is None else price.cost(calls.prompt_tokens, calls.completion_tokens),
            seconds=None if is_offline(model.name) else seconds_of(calls),
            warnings=(*self.schedule.warnings, "a ranking that cannot be used is asked for a second time"),
        )

    async def close(self) -> None:
        """Close the connections of all models."""
        for model in self.models:
            await model.close()


class ListwiseReranker:
    """A `coa.retrieval.rerank.base.Reranker` that asks a language model.

    Args:
        settings: Model, limits, run directory; see `coa.config.Settings`.
        how: Full or sliding.
        emit: Told of each call.
        model: The model, where no name leads to it.
    """

    def __init__(
        self, settings: Settings, how: Listwise | None = None, *, emit: Emit = ignore, model: Model | None = None
    ) -> None:
        self._settings, self._how, self._emit, self._model = settings, how or Listwise(), emit, model

    async def plan(self, query: str, hits: Sequence[Hit]) -> Plan:
        """What `rerank` would cost, at most; nothing is sent."""
        prepared = await self._prepared(query, hits)
        try:
            return prepared.plan(self._settings)
        finally:
            await prepared.close()

    async def rerank(self, query: str, hits: Sequence[Hit]) -> Reranked:
        """All the hits, best first. The same again costs nothing: the calls are in the run's journal.

        Raises:
            UsageError: an empty query.
            WindowTooSmall: the passages do not fit.
            ModelError, LimitReached: the provider failed, or a limit was reached; finished calls are kept.
        """
        if len(hits) < 2:
            return Reranked(hits=tuple(scored(hit, 1.0) for hit in hits), method="none")
        prepared = await self._prepared(query, hits)
        try:
            return await self._kept(prepared)
        finally:
            await prepared.close()

    async def _prepared(self, query: str, hits: Sequence[Hit]) -> Prepared:
        if not query.strip():
            raise UsageError("the query is empty", hint="Give some words to rank by.")
        models = (self._model or resolve_model(self._settings), *resolve_fallbacks(self._settings))
        counter = models[0].counter
        window_tokens = self._settings.window or await default_window(*models)
        texts = tuple(" ".join(hit.text.split()) for hit in hits)
        ctx = Context(
            call=_closed,
            counter=counter,
            prompts=Prompts(),
            fence=fence_for([_document(hit.span.doc, text) for hit, text in zip(hits, texts, strict=True)]),
            task=Task(kind="rerank", query=query),
        )
        empty = Ranker().request((), ctx, max_tokens=1)
        prompt = prompt_tokens(empty.messages, counter) + REPAIR_RESERVE
        sizes = tuple([counter.count(text) + _LABEL_TOKENS + _REPLY_A_PASSAGE for text in texts])
        room = usable_size(window_tokens, counter.margin) - prompt - _REPLY_BASE
        if room < 1:
            raise WindowTooSmall(f"a window of {window_tokens} tokens leaves no room for passages")
        return Prepared(
            query=query,
            hits=tuple(hits),
            models=models,
            ctx=ctx,
            texts=texts,
            schedule=schedule(sizes, room, self._how),
            sizes=sizes,
            prompt=prompt,
            window_tokens=window_tokens,
        )

    async def _kept(self, prepared: Prepared) -> Reranked:
        """Rank under a journal, and leave the result in the run's folder."""
        settings, said = self._settings, list(prepared.schedule.warnings)
        manifest = _manifest(prepared, settings)
        with open_journal(manifest, settings, warn=said.append) as (journal, opened):
            caller = caller_for(prepared.models, settings, journal, self._emit)
            steps = len(prepared.schedule.windows)
            model = prepared.models[0].name
            self._emit(RunStarted(run_id=manifest.run_id, model=model, chunks=len(prepared.hits), steps=steps))
            try:
                async with asyncio.timeout(settings.deadline):
                    order, repairs = await self._ranked(prepared, caller)
            except TimeoutError:
                raise DeadlineExceeded(f"the ranking was not finished within {settings.deadline:g} s") from None
            said += [*caller.warnings, *_said(repairs)]
            done = Reranked(
                hits=tuple(scored(prepared.hits[index], 1.0 / place) for place, index in enumerate(order, 1)),
                method=prepared.schedule.method,
                usage=caller.usage,
                repairs=repairs,
                run_id=manifest.run_id,
                warnings=tuple(said),
            )
            if opened is not None:
                opened.finish("complete", answer=answer_to_json(_answer(done, model)))
        for warning in done.warnings:
            self._emit(Warned(message=warning))
        return done

    async def _ranked(self, prepared: Prepared, caller: Caller) -> tuple[list[int], Repairs]:
        ctx = replace(prepared.ctx, call=caller)
        order, repairs = list(range(len(prepared.hits))), Repairs()
        windows = prepared.schedule.windows
        for done, (start, end) in enumerate(windows, 1):
            shown = order[start:end]
            request = Ranker().request(
                [prepared.texts[index] for index in shown], ctx, max_tokens=_reply_tokens(len(shown))
            )
            try:
                found = await Ranker().run(request, ctx)
            except InvalidReply:
                repairs += Repairs(asked_again=1, unranked=1)
            else:
                order[start:end] = [shown[index] for index in found.order]
                repairs += _repairs(found)
            self._emit(StepDone(done=done, steps=len(windows), usage=caller.usage, outcome="ranked"))
        return order, repairs


def _repairs(found: Permutation) -> Repairs:
    return Repairs(
        missing=found.missing,
        repeated=found.repeated,
        unknown=found.unknown,
        asked_again=int(found.asked_again),
        unranked=int(found.missing == len(found.order)),
    )


def _said(repairs: Repairs) -> list[str]:
    said: list[str] = []
    if repairs.missing or repairs.repeated or repairs.unknown:
        said.append(
            f"rankings were repaired: {repairs.missing} passages left out, {repairs.repeated} named twice, "
            f"{repairs.unknown} numbers made up"
        )
    if repairs.unranked:
        said.append(f"{repairs.unranked} lists kept their order: the model ranked none of them, also when asked again")
    return said


def _reply_tokens(count: int) -> int:
    return _REPLY_BASE + _REPLY_A_PASSAGE * count


def _document(name: str, text: str) -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(id=name, path=name, text=text, sha256=digest)


def _sources(hits: Sequence[Hit]) -> tuple[Source, ...]:
    """The passages by their documents, told apart by what they say."""
    by_document: dict[str, list[Hit]] = {}
    for hit in hits:
        by_document.setdefault(hit.span.doc, []).append(hit)
    found: list[Source] = []
    for name, own in by_document.items():
        text = "\n".join(f"{hit.span.start}-{hit.span.end} {hit.text}" for hit in own)
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        found.append(Source(id=name, path=own[0].path, sha256=digest, chars=sum(len(hit.text) for hit in own)))
    return tuple(found)


def _manifest(prepared: Prepared, settings: Settings) -> Manifest:
    documents = _sources(prepared.hits)
    return new_manifest(
        prepared.ctx.task,
        [source.path for source in documents],
        documents,
        model=prepared.models[0].name,
        base_url=settings.base_url,
        window=prepared.window_tokens,
        topology=prepared.schedule.method,
        order="score",
    )


def _answer(done: Reranked, model: str) -> Answer:
    """The ranking as ``coa show`` prints it."""
    lines = [f"{number}. {hit.path}:{hit.span.start}-{hit.span.end}" for number, hit in enumerate(done.hits, 1)]
    return Answer(
        text="\n".join(lines),
        status="complete",
        run_id=done.run_id,
        model=model,
        documents=_sources(done.hits),
        usage=done.usage,
        warnings=done.warnings,
    )


async def _closed(_: Request) -> Reply:
    raise UsageError("nothing is sent while a ranking is prepared", hint="Use ListwiseReranker.rerank.")
