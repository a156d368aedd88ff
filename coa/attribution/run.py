"""Trace a finished run by its id: hop by hop where agents handed notes on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from coa.agents.quotes import marker_pattern
from coa.attribution.auto import unexplored
from coa.attribution.choose import added, supports_only
from coa.attribution.deletion import deletion_curve
from coa.attribution.replay import Played, played
from coa.attribution.rerun import Closer
from coa.attribution.through import Chain, found_in_sources, segment_of
from coa.attribution.trace import (
    SUPPORT,
    ClaimTrace,
    Trace,
    TraceOptions,
    budget_warning,
    check_options,
    manifest_of,
    trace,
)
from coa.attribution.written import Claim, matched, played_text
from coa.config import Settings, default_run_dir
from coa.documents import Document
from coa.errors import RunNotFound, UsageError
from coa.events import Emit, RunStarted, StepDone, Warned, ignore
from coa.runtime.caller import Caller, caller_for
from coa.runtime.journal import Journal
from coa.runtime.manifest import Manifest, check_unchanged
from coa.runtime.runs import GIVE_AGAIN, Runs, open_journal
from coa.serving.base import Model, is_offline
from coa.serving.resolve import resolve_model
from coa.sources import Kept, ReadStdin, SourceLike, load_sources, name_of
from coa.types import Span, Usage

SUMMARY_QUESTION = "What does the document say?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """A trace, and the documents that its spans refer to."""

    trace: Trace
    documents: tuple[Document, ...]


async def trace_run(
    run_id: str,
    settings: Settings,
    options: TraceOptions | None = None,
    *,
    direct: bool = False,
    emit: Emit = ignore,
    model: Model | None = None,
    begun: Manifest | None = None,
) -> Traced:
    """Find the sentences that each claim of a run's answer rests on.

    Args:
        run_id: A finished run of ``ask``, ``summarize``, ``verify``, or of ``write`` from sources.
        settings: Model and limits; by default the run's own model scores.
        options: How to trace.
        direct: Leave the agents out: show the model the sentences themselves, as if it had read them. So does a
            forensic look at a written text, and a trace of what the offline engine answered: its agents hand on scores.
        emit: Told of progress.
        model: Scores instead of the one that the settings name.
        begun: The trace that goes on.

    Raises:
        RunNotFound: there is no such run, or it has no answer yet.
        InputChanged: a document is no longer what it was.
        UsageError: the run is none that can be traced.
        ModelError: the model failed for good.
    """
    options = options or TraceOptions()
    check_options(options)
    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run_id)
    _check_traceable(manifest, options)
    text = str(json.loads(runs.answer(manifest))["text"])
    same = _settings_of(manifest, settings)
    request = {"run": manifest.run_id, "direct": direct, "options": asdict(options)}
    written = manifest.task.kind == "write"
    if direct or (options.forensic if written else is_offline(manifest.model)):
        documents, _ = await load_sources(manifest.sources, lambda: runs.stdin(manifest))
        _check_begun(begun, documents)
        question = _question(manifest)
        found = await trace(question, text, documents, same, options, emit=emit, model=model, request=request)
        return Traced(trace=found, documents=documents)
    scoring = model or resolve_model(same)
    try:
        return await _hop_by_hop(manifest, runs, text, same, options, scoring, request, emit)
    finally:
        await scoring.close()


def _check_traceable(manifest: Manifest, options: TraceOptions) -> None:
    if manifest.task.kind in ("trace", "rerank") or manifest.task.rounds is not None:
        raise UsageError(
            f"run {manifest.run_id!r} cannot be traced",
            hint="Give --source FILE --question TEXT --answer TEXT instead.",
        )
    if options.deletion and manifest.task.kind == "write":
        raise UsageError(
            f"run {manifest.run_id!r} wrote its text section by section: no one prompt holds the answer",
            hint="Leave out --deletion: each hop has a curve of its own.",
        )


def _question(manifest: Manifest) -> str:
    return manifest.task.query or SUMMARY_QUESTION


async def _hop_by_hop(
    manifest: Manifest,
    runs: Runs,
    text: str,
    settings: Settings,
    options: TraceOptions,
    scoring: Model,
    request: Mapping[str, Any],
    emit: Emit,
) -> Traced:
    """Play the run again and follow each claim through the agents' prompts."""
    run, question = await _played(manifest, runs, settings, scoring), _question(manifest)
    whole = manifest_of(
        question,
        f"{manifest.run_id}\n{text if manifest.task.kind == 'write' else run.steps[-1].text}",
        run.documents,
        options,
        settings,
        scoring,
        window=manifest.window,
    )
    with open_journal(whole, settings, request=request) as (journal, opened):
        asks = not supports_only(options.scorer, scoring) and scoring.name == manifest.model
        caller = caller_for((scoring,), settings, journal, emit) if asks else None
        wanted = options.forensic or options.deletion
        again = _Again(manifest=manifest, runs=runs, caller=caller) if wanted else None
        result = await _through(run, question, text, whole.run_id, scoring, options, settings, journal, emit, again)
        if opened is not None:
            opened.finish("complete")
    return Traced(trace=result, documents=run.documents)


async def trace_sources(
    sources: Sequence[SourceLike],
    question: str,
    answer: str,
    settings: Settings,
    options: TraceOptions | None = None,
    *,
    emit: Emit = ignore,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
    begun: Manifest | None = None,
) -> Traced:
    """Load the sources of an answer and trace it. See `coa.attribution.trace.trace`.

    Raises:
        InputError: a source cannot be loaded.
        InputChanged: one is not what it was when the trace that goes on began.
        CoaError: any other of its tree.
    """
    kept = Kept(stdin)
    documents, failures = await load_sources(sources, kept.read)
    if failures:
        raise failures[0].error
    _check_begun(begun, documents)
    request = {
        "sources": [name_of(source) for source in sources],
        "question": question,
        "answer": answer,
        "options": asdict(options or TraceOptions()),
    }
    found = await trace(
        question, answer, documents, settings, options, emit=emit, model=model, request=request, stdin=kept.data
    )
    return Traced(trace=found, documents=documents)


async def resume(
    manifest: Manifest, runs: Runs, settings: Settings, *, emit: Emit = ignore, model: Model | None = None
) -> Traced:
    """Take up a trace, of a run or of an answer with its sources.

    Args:
        manifest: The trace's own.
        runs: Those of its directory.
        settings: With the model and the window that it was begun with.
        emit: Told the events.
        model: In the place of the settings' name.

    Raises:
        RunNotFound: what it was asked was not kept, or the run that it traces is gone.
        InputChanged: a document is not what it was.
    """
    try:
        asked = _Kept.model_validate(runs.request(manifest))
        options = TypeAdapter(TraceOptions).validate_python(asked.options)
    except ValidationError:
        raise RunNotFound(
            f"what run {manifest.run_id!r} kept of what it was asked is damaged", hint=GIVE_AGAIN
        ) from None
    if asked.run is not None:
        return await trace_run(
            asked.run, settings, options, direct=asked.direct, emit=emit, model=model, begun=manifest
        )
    return await trace_sources(
        asked.sources,
        asked.question,
        asked.answer,
        settings,
        options,
        emit=emit,
        stdin=lambda: runs.stdin(manifest),
        model=model,
        begun=manifest,
    )


class _Kept(BaseModel):
    """What a trace was asked: a run, or an answer with its sources."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    options: dict[str, Any]
    run: str | None = None
    direct: bool = False
    sources: tuple[str, ...] = ()
    question: str = ""
    answer: str = ""


def _check_begun(begun: Manifest | None, documents: Sequence[Document]) -> None:
    if begun is not None:
        check_unchanged(begun, documents)


async def _played(manifest: Manifest, runs: Runs, settings: Settings, scoring: Model) -> Played:
    """The replay needs the model that answered: its name is in the journal's keys, its counter cut the text."""
    play = played_text if manifest.task.kind == "write" else played
    if scoring.name == manifest.model:
        return await play(manifest, runs, settings, scoring)
    answered = resolve_model(settings.model_copy(update={"model": manifest.model, "base_url": manifest.base_url}))
    try:
        return await play(manifest, runs, settings, answered)
    finally:
        await answered.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Again:
    """What it takes to run a chain again: the run, and who is asked; nobody where another model scores."""

    manifest: Manifest
    runs: Runs
    caller: Caller | None

    def closer(self, run: Played, chain: Chain, model: Model, settings: Settings, index: dict[Span, int]) -> Closer:
        """The look itself, over the hops that were found."""
        return Closer(
            manifest=self.manifest,
            runs=self.runs,
            settings=settings,
            model=model,
            tag=run.fence.tag,
            purse=chain.purse,
            ask=self.caller,
            index=index,
        )


async def _through(
    run: Played,
    question: str,
    text: str,
    run_id: str,
    model: Model,
    options: TraceOptions,
    settings: Settings,
    journal: Journal,
    emit: Emit,
    again: _Again | None,
) -> Trace:
    chain = Chain(run, model, options, settings, journal, emit)
    answer, claims = matched(text, run, chain) if run.task.kind == "write" else _last(run, chain)
    emit(RunStarted(run_id=run_id, model=model.name, chunks=0, steps=len(claims)))
    index: dict[Span, int] = {}
    traced: list[ClaimTrace] = []
    for number, (start, end, writer) in enumerate(claims):
        hops = () if writer is None else await chain.hops_of(writer[1], writer[0])
        found = found_in_sources(hops, options.k, index) if hops else unexplored()
        traced.append(ClaimTrace(start=start, end=end, found=found, hops=hops))
        usage = chain.way.usage if chain.way is not None else Usage(cost_usd=0.0)
        emit(StepDone(done=number + 1, steps=len(claims), usage=usage, outcome="traced"))
    way, warnings = chain.way, _warnings(chain, traced, model, options, again)
    looked = curve = None
    closer = again.closer(run, chain, model, settings, index) if again is not None else None
    if options.deletion and closer is not None and closer.ask is not None:
        order = _best_first(traced, index)[: options.deletion]
        curve = await deletion_curve(closer, chain, closer.ask, order, text, emit)
    if options.forensic and closer is not None:
        written = [writer for _, _, writer in claims]
        complete = all(claim.found.complete for claim in traced)
        looked = await closer.look(chain, run.documents, list(index), written, text, whole=complete)
    for warning in warnings:
        emit(Warned(message=warning))
    paid = [each.usage for each in (way, again.caller if again else None) if each is not None]
    return Trace(
        question=question,
        answer=answer,
        run_id=run_id,
        scorer=way.label if way is not None else SUPPORT.scorer,
        kind=way.kind if way is not None else SUPPORT.kind,
        method=options.method if way is not None else SUPPORT.method,
        seed=options.seed,
        documents=tuple(document.source for document in run.documents),
        segments=tuple(segment_of(span, run, model) for span in index),
        claims=tuple(traced),
        examined=chain.examined,
        unexamined=0,
        search=chain.purse.usage(chain.whole),
        usage=added(paid) if paid else Usage(cost_usd=0.0),
        warnings=warnings,
        forensics=looked,
        deletion=curve,
    )


def _warnings(
    chain: Chain, claims: Sequence[ClaimTrace], model: Model, options: TraceOptions, again: _Again | None
) -> tuple[str, ...]:
    """What whoever reads the trace must know of how it came about."""
    supports = supports_only(options.scorer, model)
    way = chain.way
    warnings = SUPPORT.warnings if supports else way.warnings if way is not None else ()
    warnings = (*warnings, *budget_warning([claim.found for claim in claims if claim.hops]))
    if lost := sum(not claim.hops for claim in claims):
        told = f"{lost} sentences were edited after they were written: nothing in the journal is like them"
        warnings = (*warnings, told)
    if again is not None and again.caller is None and not supports:
        told = f"{model.name} did not write the answer: it was not asked again without the causes"
        warnings = (*warnings, told)
    return warnings


def _best_first(claims: Sequence[ClaimTrace], index: dict[Span, int]) -> list[tuple[int, Span]]:
    """Numbers and places of the sentences that were found, by what they bring to all claims together."""
    brings = dict.fromkeys(index.values(), 0.0)
    for claim in claims:
        for cause in claim.found.causes:
            brings[cause.segment] += max(0.0, cause.phi)
    return sorted(((number, span) for span, number in index.items()), key=lambda each: -brings[each[0]])


def _last(run: Played, chain: Chain) -> tuple[str, tuple[Claim, ...]]:
    """The final reply and its sentences, each written by the last step."""
    shown, spans = _shown(run, chain.claims)
    last = len(run.steps) - 1
    return shown, tuple((start, end, (last, number)) for number, (start, end) in enumerate(spans))


def _shown(run: Played, claims: tuple[tuple[int, int], ...]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The final reply without its markers, and where its sentences stand in what is left."""
    text = run.steps[-1].text
    mark = re.compile(rf"{marker_pattern(run.fence.tag).pattern}|\[\[.*?\]\]", re.DOTALL)
    marks = [match.span() for match in mark.finditer(text)]
    kept: list[str] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for start, end in claims:
        kept.append(text[at:start])
        sentence = _without(text, start, end, marks)
        begin = sum(map(len, kept))
        kept.append(sentence)
        spans.append((begin, begin + len(sentence)))
        at = end
    return "".join([*kept, text[at:]]).rstrip(), tuple(spans)


def _without(text: str, start: int, end: int, marks: list[tuple[int, int]]) -> str:
    parts: list[str] = []
    for first, last in marks:
        if start <= first and last <= end:
            before = text[start:first].rstrip() if text[start:first].strip() else ""
            parts.append(before)
            start = last
    return "".join([*parts, text[start:end]]).strip()


def _settings_of(manifest: Manifest, settings: Settings) -> Settings:
    """The run's model, address and window, where no other is named."""
    return settings.model_copy(
        update={
            "model": settings.model or manifest.model,
            "base_url": settings.base_url or manifest.base_url,
            "window": settings.window or manifest.window,
        }
    )
