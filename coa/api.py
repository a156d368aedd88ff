"""Run, plan and resume: the three verbs that the command line and the library stand on.

One document's way: `coa.session.prepare` loads, splits and divides the window; a `Caller` becomes the one door to the
model; the pipeline reads; the outcome is kept in the run directory and returned as an `Answer`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from coa.agents.closed import choice_in
from coa.agents.team import Team
from coa.config import Settings, default_run_dir
from coa.errors import DeadlineExceeded, InputChanged, UsageError
from coa.events import Emit, RunFinished, RunStarted, TextPiece, Warned, ignore
from coa.forecast import Plan
from coa.pipelines.base import Outcome, Pipeline
from coa.pipelines.paths import ONE
from coa.report import answer_to_json
from coa.runtime.caller import Caller, caller_for
from coa.runtime.journal import Journal
from coa.runtime.limiter import Limiter
from coa.runtime.manifest import Manifest, carried_on, check_unchanged, new_manifest
from coa.runtime.runs import OpenRun, Runs, Warn, open_journal
from coa.serving.base import Model
from coa.session import Session, prepare
from coa.sources import Kept, ReadStdin, SourceLike, name_of
from coa.types import Answer, Coverage, Span, Task, Unread, Usage

if TYPE_CHECKING:
    from coa.aggregation.run import Aggregation
    from coa.aggregation.schema import SchemaLike
    from coa.attribution.run import Traced
    from coa.retrieval.base import Retriever

__all__ = ["Resumed", "plan", "resume", "run"]


async def plan(
    task: Task,
    sources: Sequence[SourceLike],
    settings: Settings,
    *,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
) -> Plan:
    """What `run` with the same arguments would cost, at most. Nothing is sent.

    Raises:
        InputError: no source can be loaded.
        UsageError: the request makes no sense.
    """
    if task.rounds is not None:
        from coa.retrieval.iterate.run import plan as plan_iterating

        return await plan_iterating(task, sources, settings, kept=Kept(stdin), model=model)
    session = await prepare(task, sources, settings, stdin=stdin, model=model)
    try:
        return session.plan()
    finally:
        await session.close()


async def run(
    task: Task,
    sources: Sequence[SourceLike],
    settings: Settings,
    *,
    emit: Emit = ignore,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
    limiter: Limiter | None = None,
    found: Retriever | None = None,
    team: Team | None = None,
) -> Answer:
    """Carry a task out. The same call again goes on where this one stopped.

    Args:
        task: What to do.
        sources: Documents, or where they are.
        settings: Model, limits, run directory.
        emit: Told the events.
        stdin: Reads standard input, for a source named ``-``.
        model: A model object in place of the settings' name.
        limiter: That of several runs side by side; without it the run has its own.
        found: Finds the passages of a task that asks for some, in place of an index made for the run. It cannot be
            kept: `resume` of such a run says that the passages have changed, the same call goes on.
        team: Plays the roles in the place of the usual agents. It cannot be kept either: the same call goes on.

    Raises:
        CoaError: any of its subclasses; what was finished by then is in the journal.
    """
    kept = Kept(stdin)
    if task.rounds is not None:
        from coa.retrieval.iterate.run import run as iterate

        if found is not None:
            raise UsageError("follow-up questions search an index", hint="Leave `found` out, or `rounds`.")
        return await iterate(task, sources, settings, kept=kept, emit=emit, model=model, limiter=limiter)
    session = await prepare(task, sources, settings, stdin=kept.read, model=model, found=found, team=team)
    return await _run_prepared(session, sources, kept, emit, limiter)


Resumed: TypeAlias = "Answer | Aggregation | Traced"
"""What a run that is taken up gives: an `Answer`, or what an aggregation or a trace gives."""


async def resume(
    run_id: str,
    settings: Settings,
    *,
    emit: Emit = ignore,
    model: Model | None = None,
    schema: SchemaLike | None = None,
) -> Resumed:
    """Take up a run by its id, with the model and the window that it was begun with.

    Args:
        run_id: The run, or how its id begins.
        settings: Limits; the model and the way of reading are the run's.
        emit: Told the events.
        model: The run's own, where it was an object.
        schema: That of an aggregation, where it was a class of a program.

    Raises:
        RunNotFound: there is no such run.
        InputChanged: a document is no longer what it was.
        UsageError: the settings name another model than the run's, or only its own command knows what was asked.
    """
    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run_id)
    kind = manifest.task.kind
    if kind == "write":
        from coa.writing.run import resume as resume_writing

        return await resume_writing(manifest.run_id, settings, emit=emit, model=model)
    if kind == "rerank":
        raise UsageError(
            f"run {manifest.run_id!r} is taken up by its own command",
            hint="Give coa search again with the same arguments: finished calls are kept.",
        )
    same = carried_on(manifest, settings, model)
    if kind == "aggregate":
        from coa.aggregation.run import resume as resume_aggregation

        return await resume_aggregation(manifest, runs, same, schema=schema, emit=emit, model=model)
    if kind == "trace":
        from coa.attribution.run import resume as resume_trace

        return await resume_trace(manifest, runs, same, emit=emit, model=model)
    read_so = {"topology": manifest.topology, "order": manifest.order, **manifest.method}
    return await _read_on(manifest, runs, same.model_copy(update=read_so), emit, model)


async def _read_on(manifest: Manifest, runs: Runs, same: Settings, emit: Emit, model: Model | None) -> Answer:
    kept = Kept(lambda: runs.stdin(manifest))
    if manifest.task.rounds is not None:
        from coa.retrieval.iterate.run import run as iterate

        return await iterate(manifest.task, manifest.sources, same, kept=kept, emit=emit, model=model, begun=manifest)
    session = await prepare(manifest.task, manifest.sources, same, stdin=kept.read, model=model)
    try:
        check_unchanged(manifest, session.documents)
    except InputChanged:
        await session.close()
        raise
    return await _run_prepared(session, manifest.sources, kept, emit)


async def _run_prepared(
    session: Session, sources: Sequence[SourceLike], kept: Kept, emit: Emit, limiter: Limiter | None = None
) -> Answer:
    """Carry a session out under its journal, keep the answer there, and close the session."""
    mended: list[str] = []
    try:
        with _opened(session, sources, kept, mended.append) as (run_id, journal, opened):
            caller = _caller(session, journal, emit, limiter)
            answer = await _carry_out(session, run_id, caller, mended, emit)
            if opened is not None:
                opened.finish(answer.status, answer=answer_to_json(answer))
    finally:
        await session.close()
    emit(RunFinished(answer=answer))
    return answer


@contextmanager
def _opened(
    session: Session, sources: Sequence[SourceLike], kept: Kept, warn: Warn
) -> Generator[tuple[str, Journal, OpenRun | None]]:
    """The run's journal: on disk and locked, or in memory when the settings say so."""
    manifest = new_manifest(
        session.task,
        [name_of(source) for source in sources],
        [document.source for document in session.documents],
        model=session.model.name,
        base_url=session.settings.base_url,
        window=session.window_tokens,
        topology=session.settings.topology,
        order=session.settings.order,
        method=session.settings.method,
    )
    with open_journal(manifest, session.settings, stdin=kept.data, warn=warn) as (journal, opened):
        yield manifest.run_id, journal, opened


def _caller(session: Session, journal: Journal, emit: Emit, limiter: Limiter | None) -> Caller:
    """The door to the model. Of several readings nobody knows which is the answer before all are done: none streams."""
    settings = session.settings
    spoken = settings.model_copy(update={"stream": settings.stream and not _of_several_paths(settings)})
    return caller_for((session.model, *session.fallbacks), spoken, journal, emit, limiter)


def _of_several_paths(settings: Settings) -> bool:
    return settings.paths != ONE


async def _carry_out(session: Session, run_id: str, caller: Caller, mended: Sequence[str], emit: Emit) -> Answer:
    settings = session.settings
    whole = settings.stream and _of_several_paths(settings)
    steps = session.pipeline.steps(len(session.chunks))
    emit(RunStarted(run_id=run_id, model=session.model.name, chunks=len(session.chunks), steps=steps))
    try:
        async with asyncio.timeout(settings.deadline):
            await asyncio.to_thread(_built, session.pipeline)
            outcome = await session.pipeline.run(session.job(caller, emit))
    except TimeoutError:
        raise DeadlineExceeded(f"the run was not finished within {settings.deadline:g} s") from None
    if whole:
        emit(TextPiece(role="judge", text=outcome.text, start=True))
    answer = _answer(session, run_id, outcome, caller.usage, (*mended, *caller.warnings))
    for warning in answer.warnings:
        emit(Warned(message=warning))
    return answer


def _built(pipeline: Pipeline) -> None:
    """Build the graph. The first one of a process loads LangGraph: most of a second, not for the event loop."""
    _ = pipeline.graph


def _answer(session: Session, run_id: str, outcome: Outcome, usage: Usage, events: Sequence[str]) -> Answer:
    unloaded = tuple(
        Unread(span=Span(doc=failure.path, start=0, end=0), reason=f"{failure.error.code}: {failure.error.message}")
        for failure in session.failures
    )
    read, task = outcome.coverage, session.task
    coverage = Coverage(chunks=read.chunks, read=read.read, skipped=read.skipped, failed=read.failed + unloaded)
    answer = Answer(
        text=outcome.text,
        status="complete" if coverage.complete else "partial",
        run_id=run_id,
        model=session.model.name,
        documents=tuple(document.source for document in session.documents),
        citations=outcome.citations,
        coverage=coverage,
        usage=usage,
        warnings=(*session.warnings, *events, *outcome.warnings),
        choice=choice_in(outcome.text, task.choices) if task.choices else None,
        readings=outcome.readings,
    )
    if task.batch:
        answer = _of_batch(session, answer, outcome, events)
    return answer if session.bundle is None else session.bundle.unpacked(answer)


def _of_batch(session: Session, first: Answer, outcome: Outcome, events: Sequence[str]) -> Answer:
    """An answer for each question that shared the reading, and all of them as one text; the first has the usage."""
    each: list[Answer] = []
    for asked, came in zip(session.task.batch, (outcome, *outcome.more), strict=True):
        each.append(
            replace(
                first,
                text=came.text,
                citations=came.citations,
                usage=first.usage if not each else replace(Usage(), cost_usd=first.usage.cost_usd and 0.0),
                warnings=(*session.warnings, *events, *came.warnings),
                choice=choice_in(came.text, asked.choices) if asked.choices else None,
            )
        )
    text = "\n\n".join(f"{asked.query}\n{one.text}" for asked, one in zip(session.task.batch, each, strict=True))
    return replace(first, text=text, citations=(), batch=tuple(each))
