"""Write a document in a run of its own: begin, go on, plan only. See `coa.writing.job` for what happens inside."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from coa.config import Settings, default_run_dir
from coa.documents import Document, LoadFailure
from coa.errors import DeadlineExceeded, UsageError
from coa.events import Emit, RunFinished, Warned, ignore
from coa.prompts import Prompts
from coa.report import answer_to_json
from coa.retrieval.base import Retriever
from coa.runtime.caller import caller_for
from coa.runtime.manifest import Manifest, carried_on, check_unchanged, new_manifest
from coa.runtime.runs import OpenRun, Runs, open_journal
from coa.serving.base import Model, is_offline
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.serving.window import default_window
from coa.sources import Kept, ReadStdin, SourceLike, load_sources, name_of
from coa.types import Answer, Task
from coa.writing.folder import Folder
from coa.writing.job import Job
from coa.writing.options import WriteOptions, WriteRequest, check_request
from coa.writing.plan import Outline
from coa.writing.planner import Planner
from coa.writing.price import forecast
from coa.writing.room import Room

__all__ = ["WriteOptions", "forecast", "outline_of", "redo", "resume", "write"]


async def write(
    brief: str,
    settings: Settings,
    options: WriteOptions,
    sources: Sequence[SourceLike] = (),
    *,
    found: Retriever | None = None,
    emit: Emit = ignore,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
) -> Answer:
    """Write a document; the same call again goes on where this one stopped.

    Args:
        brief: What to write.
        settings: Model, limits, run directory.
        options: Length, style and the like.
        sources: Files or documents to write from. Those that cannot be read are named in the warnings.
        found: Finds the passages for each section in the sources, in place of an index made for the run.
        emit: Told the events.
        stdin: Reads standard input, for a source named ``-``.
        model: A model object in place of the settings' name.

    Returns:
        The text in Markdown. ``coverage`` counts sections; those that could not be written are in ``failed``.

    Raises:
        UsageError: an empty brief, an impossible length, the offline engine without sources.
        InputError: none of the sources can be read.
        CoaError: any other of its tree; finished calls are kept.
    """
    check_request(brief, options)
    if found is not None and not sources:
        raise UsageError("a retriever finds passages of sources", hint="Give the documents that it was made from.")
    kept = Kept(stdin)
    documents, failures = await load_sources(sources, kept.read) if sources else ((), ())
    models = (model or resolve_model(settings), *resolve_fallbacks(settings))
    if is_offline(models[0].name) and not documents:
        raise UsageError(
            "the offline engine invents nothing: it needs sources to make a digest of",
            hint="Give --source PATH, or name a model with --model.",
        )
    request = WriteRequest(brief=brief, options=options, found=found is not None)
    manifest = await _manifest(request, [name_of(source) for source in sources], documents, settings, models)
    return await _carry_out(request, manifest, documents, failures, settings, found, emit, kept.data, models)


async def resume(run_id: str, settings: Settings, *, emit: Emit = ignore, model: Model | None = None) -> Answer:
    """Take up a run of `write` by its id, with the model, the window and the options that it was begun with.

    Raises:
        RunNotFound: there is no such run, or it kept no request.
        InputChanged: a source is no longer what it was.
        UsageError: its passages were found by a retriever of the caller's, or it had another model.
    """
    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run_id)
    if manifest.task.kind != "write":
        raise UsageError(f"run {manifest.run_id!r} wrote no text", hint="See the runs with `coa runs`.")
    request = Folder(runs.folder(manifest)).request()
    if request.found:
        raise UsageError(
            f"run {manifest.run_id!r} was given a retriever, which cannot be kept",
            hint="Call coa.write again with the same arguments: finished calls are kept.",
        )
    same = carried_on(manifest, settings, model)
    kept = Kept(lambda: runs.stdin(manifest))
    documents, failures = await load_sources(manifest.sources, kept.read) if manifest.sources else ((), ())
    check_unchanged(manifest, documents)
    models = (model or resolve_model(same), *resolve_fallbacks(same))
    return await _carry_out(request, manifest, documents, failures, same, None, emit, kept.data, models)


async def redo(
    run_id: str,
    sections: Sequence[str],
    note: str,
    settings: Settings,
    *,
    emit: Emit = ignore,
    model: Model | None = None,
) -> Answer:
    """Write sections of a text anew; all others stay as they are, and nothing else is asked of the model.

    Args:
        run_id: The run, or how its id begins.
        sections: Ids of leaves, such as ``3.2``.
        note: What is to be different; empty asks for another draft.
        settings: As in `resume`.
        emit: Told the events.
        model: As in `resume`.

    Raises:
        UsageError: no leaf has that id.
        RunNotFound: there is no such run, or it has no outline yet.
    """
    runs = Runs(settings.run_dir or default_run_dir())
    manifest = runs.get(run_id)
    Folder(runs.folder(manifest)).ask_again(sections, note)
    return await resume(manifest.run_id, settings, emit=emit, model=model)


async def outline_of(
    brief: str, settings: Settings, options: WriteOptions, *, emit: Emit = ignore, model: Model | None = None
) -> Outline:
    """Only the plan, to be edited and given back as ``WriteOptions.outline``."""
    check_request(brief, options)
    model = model or resolve_model(settings)
    if is_offline(model.name):
        await model.close()
        raise UsageError("the offline engine cannot plan", hint="Name a model with --model, or write a plan by hand.")
    request = WriteRequest(brief=brief, options=options)
    manifest = await _manifest(request, [], (), settings, (model, *resolve_fallbacks(settings)))
    try:
        with open_journal(manifest, settings) as (journal, opened):
            planner = Planner(
                call=caller_for((model,), settings, journal, emit),
                prompts=Prompts(),
                room=Room(counter=model.counter, window=manifest.window),
                style=options.style,
                language=options.language,
                parallel=options.parallel,
            )
            outline = options.outline or await planner.plan(brief, options.words)
            for warning in planner.warnings:
                emit(Warned(message=warning))
            if opened is not None:
                _folder(opened).begin(request)
                _folder(opened).planned(outline)
                opened.finish("interrupted", error="only the plan was made")
            return outline
    finally:
        await model.close()


async def _manifest(
    request: WriteRequest,
    sources: Sequence[str],
    documents: Sequence[Document],
    settings: Settings,
    models: Sequence[Model],
) -> Manifest:
    return new_manifest(
        Task(kind="write", query=request.brief, words=request.options.words),
        sources,
        [document.source for document in documents],
        model=models[0].name,
        base_url=settings.base_url,
        window=settings.window or await default_window(*models),
        topology=request.options.method,
        order="ltr",
        details=request.options.key,
    )


async def _carry_out(
    request: WriteRequest,
    manifest: Manifest,
    documents: tuple[Document, ...],
    failures: Sequence[LoadFailure],
    settings: Settings,
    found: Retriever | None,
    emit: Emit,
    stdin: bytes | None,
    models: Sequence[Model],
) -> Answer:
    warnings = [f"{each.path}: {each.error.code}: {each.error.message}" for each in failures]
    try:
        with open_journal(manifest, settings, stdin=stdin, warn=warnings.append) as (journal, opened):
            folder = _folder(opened)
            folder.begin(request)
            caller = caller_for(models, settings, journal, emit)
            job = Job(
                brief=request.brief,
                options=request.options,
                documents=documents,
                model=models[0],
                window=manifest.window,
                settings=settings,
                caller=caller,
                emit=emit,
                run_id=manifest.run_id,
                folder=folder,
                found=found,
                failures=tuple(failures),
            )
            try:
                async with asyncio.timeout(settings.deadline):
                    answer = await job.run()
            except TimeoutError:
                raise DeadlineExceeded(f"the text was not finished within {settings.deadline:g} s") from None
            answer = replace(answer, warnings=(*warnings, *answer.warnings, *caller.warnings))
            if opened is not None:
                opened.finish(answer.status, answer=answer_to_json(answer))
    finally:
        for each in models:
            await each.close()
    for warning in answer.warnings:
        emit(Warned(message=warning))
    emit(RunFinished(answer=answer))
    return answer


def _folder(opened: OpenRun | None) -> Folder:
    return Folder(opened.folder if opened is not None else None)
