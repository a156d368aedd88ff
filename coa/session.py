"""From sources and settings to everything a run needs: load, resolve the model, split, divide the window."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from coa.agents.base import Context
from coa.agents.fence import fence_for
from coa.agents.team import Team
from coa.code.bundle import Bundle
from coa.code.completion import Material
from coa.config import Settings
from coa.documents import Document, LoadFailure
from coa.errors import UsageError
from coa.events import Emit
from coa.forecast import Alternative, Plan, seconds_of
from coa.pipelines.answering import closing, reopening
from coa.pipelines.base import Calls, Job, Pipeline
from coa.pipelines.choosing import choose_pipeline, side_by_side
from coa.pipelines.likeness import Measure, vectors
from coa.pipelines.merge import Merge
from coa.pipelines.multipath import MultiPath
from coa.pipelines.order import Parts, resolve_order
from coa.pipelines.paths import ONE, parse_paths
from coa.pipelines.registry import AUTO, every_pipeline, resolve_pipeline
from coa.pipelines.selecting import check_selection
from coa.pipelines.single import Single
from coa.pipelines.window import Window, divide, usable_size
from coa.prompts import prompts_of
from coa.runtime.prices import Price, price_for
from coa.serving.base import Model, Reply, Request, is_offline
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.serving.window import default_window, is_assumed
from coa.sources import ReadStdin, SourceLike, load_sources, material_of
from coa.split import split, split_at
from coa.types import Chunk, Task, Usage

if TYPE_CHECKING:
    from coa.retrieval.base import Retriever

_MOST_CHOICES = 26
_SHOWN_PATHS = ("bidirectional", "self-consistency:5", "permutations:5")


class Door(Protocol):
    """What answers a job's requests: a `Caller`, or a journal alone."""

    @property
    def usage(self) -> Usage:
        """The total so far."""
        ...

    async def __call__(self, request: Request) -> Reply:
        """The reply to a request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A run before its first call: documents, model and plan, nothing sent yet."""

    task: Task
    settings: Settings
    model: Model
    fallbacks: tuple[Model, ...]
    pipeline: Pipeline
    documents: tuple[Document, ...]
    failures: tuple[LoadFailure, ...]
    chunks: tuple[Chunk, ...]
    order: tuple[int, ...]
    ctx: Context
    window: Window
    window_tokens: int
    warnings: tuple[str, ...] = ()
    bundle: Bundle | None = None
    measure: Measure = vectors

    def plan(self) -> Plan:
        """Calls, tokens, money and time of this session, at most."""
        calls = self._asked(self.pipeline)
        price = price_for(self.model.name, self.settings.prices)
        return Plan(
            model=self.model.name,
            tokenizer=self.model.counter.label,
            window=self.window_tokens,
            topology=self.settings.topology,
            order=self.settings.order,
            paths=self.settings.paths if isinstance(self.pipeline, MultiPath) else ONE,
            documents=tuple(document.source for document in self.documents),
            chunks=len(self.chunks),
            calls=calls.calls,
            serial_calls=calls.serial,
            prompt_tokens=calls.prompt_tokens,
            completion_tokens=calls.completion_tokens,
            cost_usd=None if price is None else price.cost(calls.prompt_tokens, calls.completion_tokens),
            seconds=self._seconds(calls),
            warnings=self.warnings,
            failures=tuple(f"{failure.path}: {failure.error.message}" for failure in self.failures),
            alternatives=tuple(self._alternatives(price)),
        )

    def _alternatives(self, price: Price | None) -> Iterator[Alternative]:
        """All topologies read once, and the chosen one in several ways."""
        ways = {(name, ONE): pipeline for name, pipeline in every_pipeline().items()}
        if len(self.chunks) > 1 and self.settings.topology not in ("single", "merge") and not self.task.batch:
            for paths in _SHOWN_PATHS:
                several = parse_paths(paths)
                assert several is not None
                inner = resolve_pipeline(self.settings.topology)
                ways[self.settings.topology, paths] = MultiPath(inner, several, self.settings.select)
        for name, asked in side_by_side({f"{one} {other}": each for (one, other), each in ways.items()}, self._asked):
            topology, paths = name.split(" ")
            yield Alternative(
                topology=topology,
                paths=paths,
                calls=asked.calls,
                serial_calls=asked.serial,
                prompt_tokens=asked.prompt_tokens,
                completion_tokens=asked.completion_tokens,
                cost_usd=None if price is None else price.cost(asked.prompt_tokens, asked.completion_tokens),
                seconds=self._seconds(asked),
            )

    def _seconds(self, calls: Calls) -> float | None:
        """At the assumed speeds; None for models that run here."""
        return None if is_offline(self.model.name) else seconds_of(calls, self.settings.concurrency)

    def _asked(self, pipeline: Pipeline) -> Calls:
        """What a pipeline asks, and what the manager may have read again."""
        calls = pipeline.estimate(self.chunks, self.window)
        questions = len(self.task.batch) or 1
        calls = calls.plus(closing(self.window), times=questions - 1)
        if not self.ctx.reopen or isinstance(pipeline, Single | Merge):
            return calls
        readings = len(pipeline.ways(self.order)) if isinstance(pipeline, MultiPath) else 1
        return calls.plus(reopening(self.ctx.reopen, self.window), times=readings * questions)

    async def close(self) -> None:
        """Close the connections of all models."""
        for model in (self.model, *self.fallbacks):
            await model.close()

    def job(self, caller: Door, emit: Emit) -> Job:
        """The job to run, with ``caller`` as its door to the model."""
        ctx = replace(self.ctx, call=caller)
        return Job(
            documents=self.documents,
            chunks=self.chunks,
            order=self.order,
            ctx=ctx,
            window=self.window,
            emit=emit,
            usage=lambda: caller.usage,
            measure=self.measure,
        )


async def prepare(
    task: Task,
    sources: Sequence[SourceLike],
    settings: Settings,
    *,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
    found: Retriever | None = None,
    team: Team | None = None,
) -> Session:
    """Load and split the sources and divide the model's window.

    Raises:
        InputError: if no source at all can be loaded; single failures are kept in ``failures``.
        UsageError: a missing question, an unknown model, order or topology, a window that is too small.
    """
    _check(task, sources)
    _check_ways(settings)
    measure = measure_of(settings.embedder)
    if task.retrieve is not None:
        model = model or resolve_model(settings)
    given = await _given(task, sources, stdin, model, found)
    models = (model or resolve_model(settings), *resolve_fallbacks(settings))
    try:
        return await _session(task, given, settings, models, measure, team)
    except BaseException:
        for each in models:
            await each.close()
        raise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What is to be read, what could not be loaded, and how it was chosen where it is not whole documents."""

    documents: tuple[Document, ...]
    failures: tuple[LoadFailure, ...]
    material: Material | None


async def _given(
    task: Task, sources: Sequence[SourceLike], stdin: ReadStdin | None, model: Model | None, found: Retriever | None
) -> _Given:
    material, failures = await material_of(task, sources, stdin, model, found)
    if material is not None:
        return _Given(documents=(material.bundle.document,), failures=failures, material=material)
    documents, failures = await load_sources(sources, stdin)
    return _Given(documents=documents, failures=failures, material=None)


async def _session(
    task: Task, given: _Given, settings: Settings, models: Sequence[Model], measure: Measure, team: Team | None
) -> Session:
    """Divide the window, split, and choose how to read."""
    model, *fallbacks = models
    documents, material = given.documents, given.material
    window_tokens = settings.window or await default_window(*models)
    ctx = await _context(task, documents, settings, model, team)
    window = divide(usable_size(window_tokens, model.counter.margin), ctx)
    chunks = await asyncio.to_thread(_split, documents, window.chunk, model)
    chosen = choose_pipeline(task, chunks, window, settings)
    parts = parts_of(chunks, documents, task.query, measure)
    told = material.warnings if material else ()
    return Session(
        task=task,
        settings=settings.model_copy(update={"topology": chosen.topology}),
        model=model,
        fallbacks=tuple(fallbacks),
        pipeline=chosen.pipeline,
        documents=documents,
        failures=given.failures,
        chunks=chunks,
        order=await asyncio.to_thread(resolve_order(settings.order), parts),
        ctx=ctx,
        window=window,
        window_tokens=window_tokens,
        warnings=(*_warnings(documents, model, window_tokens, settings), *told, *chosen.said),
        bundle=material.bundle if material else None,
        measure=measure,
    )


async def _context(
    task: Task, documents: tuple[Document, ...], settings: Settings, model: Model, team: Team | None
) -> Context:
    """What agents are given, before there is anything that answers them."""
    return Context(
        call=_closed,
        counter=model.counter,
        prompts=prompts_of(settings.prompts),
        fence=fence_for(documents),
        task=task,
        labels=await asyncio.to_thread(_labels, documents),
        team=team or team_for(settings.notes),
        reopen=settings.reopen if task.kind in ("qa", "verify") else 0,
    )


def _check_ways(settings: Settings) -> None:
    """Refuse unknown names before anything is loaded."""
    resolve_order(settings.order)
    parse_paths(settings.paths)
    check_selection(settings.select)
    if settings.topology != AUTO:
        resolve_pipeline(settings.topology)


def _labels(documents: Sequence[Document]) -> tuple[str, str]:
    """See `Context.labels`."""
    ids = [document.id for document in documents] if len(documents) > 1 else []
    speakers = [turn.speaker for document in documents for turn in document.turns]
    return max(ids, key=_bytes, default=""), max(speakers, key=_bytes, default="")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _warnings(documents: Sequence[Document], model: Model, window_tokens: int, settings: Settings) -> tuple[str, ...]:
    """What the loader had to say, with the document's path in front, and a window that nobody knows for sure."""
    said = tuple(f"{document.path}: {warning}" for document in documents for warning in document.warnings)
    if settings.window is None and is_assumed(model):
        said += (f"the window of {model.name} is not known: {window_tokens} tokens are assumed (set --window)",)
    return said


def _check(task: Task, sources: Sequence[SourceLike]) -> None:
    if not sources:
        raise UsageError("no document was given", hint="Name at least one file, or - for standard input.")
    if task.kind in ("qa", "verify") and not (task.query and task.query.strip()):
        raise UsageError("no question was given", hint='Put the question last: coa ask book.txt "Who ...?"')
    if task.retrieve is not None and task.retrieve < 1:
        raise UsageError(f"{task.retrieve} tokens of passages cannot be read", hint="Give --retrieve 1 or more.")
    if task.kind == "complete" and task.place is None:
        raise UsageError("no place was given", hint="Make the task with coa.code.completion.completion_task.")
    if task.choices:
        _check_choices(task.choices)
    if task.words is not None and task.words < 1:
        raise UsageError(f"a text of {task.words} words cannot be written", hint="Give a positive number of words.")


def _check_choices(choices: Sequence[str]) -> None:
    plain = {" ".join(choice.casefold().split()) for choice in choices}
    if len(plain) < max(2, len(choices)) or "" in plain or len(choices) > _MOST_CHOICES:
        raise UsageError(
            f"{list(choices)!r} are no choices", hint=f"Give 2 to {_MOST_CHOICES} different ones: --choices A,B,C."
        )


def _split(documents: Sequence[Document], budget: int, model: Model) -> tuple[Chunk, ...]:
    chunks: list[Chunk] = []
    for document in documents:
        turns = [turn.start for turn in document.turns]
        pieces = split_at(document, turns, budget, model.counter) if turns else split(document, budget, model.counter)
        for chunk in pieces:
            chunks.append(Chunk(index=len(chunks), span=chunk.span, tokens=chunk.tokens))
    return tuple(chunks)


def parts_of(chunks: Sequence[Chunk], documents: Sequence[Document], query: str | None, measure: Measure) -> Parts:
    """The chunks as an order sees them."""
    by_id = {document.id: document for document in documents}
    return Parts(
        count=len(chunks),
        texts=lambda: [by_id[chunk.span.doc].read(chunk.span) for chunk in chunks],
        query=query,
        vectors=measure,
    )


def team_for(notes: str) -> Team | None:
    """The team that ``--notes`` asks for; None for the usual one.

    Raises:
        UsageError: there is no such kind of notes.
    """
    if notes == "structured":
        from coa.agents.structured import StructuredWorker

        return Team(worker=StructuredWorker())
    if notes != "free":
        raise UsageError(f"unknown notes {notes!r}", hint="Choose free or structured.")
    return None


def measure_of(embedder: str | None) -> Measure:
    """What likeness is measured with: an embedder, loaded when it is first used, or rare words.

    Raises:
        MissingExtra: the embedder is not installed.
    """
    if embedder is None:
        return vectors
    from coa.retrieval.embedders import resolve_embedder

    return resolve_embedder(embedder).embed


async def _closed(_: Request) -> Reply:
    raise UsageError("this session only plans", hint="Use coa.run to carry it out.")
