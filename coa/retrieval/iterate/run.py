"""DRAG and IterDRAG as a run: planned before anything is sent, under one budget, kept in a journal, resumable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from coa.agents.base import Context
from coa.agents.citing import cite
from coa.agents.researcher import SUB_TOKENS
from coa.config import Settings
from coa.errors import DeadlineExceeded, InputChanged, UsageError
from coa.events import Emit, RunFinished, RunStarted, StepDone, Warned, ignore
from coa.forecast import Plan, seconds_of
from coa.pipelines.base import Calls
from coa.pipelines.window import usable_size
from coa.prompts import Prompts
from coa.report import answer_to_json
from coa.retrieval.iterate.cost import calls, input_tokens
from coa.retrieval.iterate.gathering import Gathered, Library, library, load, nothing_found
from coa.retrieval.iterate.loop import LONGEST_STEP, Loop, Result, Shape, overhead
from coa.runtime.caller import Caller, caller_for
from coa.runtime.limiter import Limiter
from coa.runtime.manifest import Manifest, new_manifest
from coa.runtime.prices import price_for
from coa.runtime.runs import open_journal
from coa.serving.base import Model, Reply, Request, is_offline
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.serving.window import default_window
from coa.sources import Kept, SourceLike, name_of
from coa.types import Answer, Coverage, Task

MOST_ROUNDS = 5
"""Follow-up questions at most, as published."""

_REPLY_CAP, _REPLY_SHARE = 2048, 4


@dataclass(frozen=True, kw_only=True)
class Session:
    """A run before its first call: an open index and the passages that the question itself finds."""

    task: Task
    settings: Settings
    models: tuple[Model, ...]
    library: Library
    gathered: Gathered
    ctx: Context
    shape: Shape
    window_tokens: int

    def plan(self) -> Plan:
        """Calls, tokens and money, at most: as if every follow-up question were asked and every search filled."""
        model, beside = self.models[0], overhead(self.ctx, self.shape, LONGEST_STEP)
        rounds = self.shape.rounds
        held = self.ctx.counter.count(self.gathered.passage.text)
        most = input_tokens(held if rounds == 0 else max(held, self.shape.tokens), beside, rounds)
        asked = Calls(
            calls=calls(rounds),
            serial=calls(rounds),
            prompt_tokens=min(most, calls(rounds) * self.shape.size),
            completion_tokens=(rounds + 1) * self.shape.reply + rounds * min(self.shape.reply, SUB_TOKENS),
        )
        price = price_for(model.name, self.settings.prices)
        return Plan(
            model=model.name,
            tokenizer=model.counter.label,
            window=self.window_tokens,
            topology=topology(self.task),
            order="best_last",
            documents=tuple(dict.fromkeys(member.source for member in self.gathered.bundle.members)),
            chunks=len(self.gathered.spans),
            calls=asked.calls,
            serial_calls=asked.serial,
            prompt_tokens=asked.prompt_tokens,
            completion_tokens=asked.completion_tokens,
            cost_usd=None if price is None else price.cost(asked.prompt_tokens, asked.completion_tokens),
            seconds=None if is_offline(model.name) else seconds_of(asked),
            warnings=(*self.library.warnings, *(("it may end after fewer follow-up questions",) if rounds else ())),
        )


def topology(task: Task) -> str:
    """What a manifest and a plan call the way of reading."""
    return "iterdrag" if task.rounds else "drag"


def check(task: Task) -> None:
    """Refuse what makes no sense before anything is loaded.

    Raises:
        UsageError: too many rounds, no budget of passages, no question, or a closed one.
    """
    if task.rounds is None or not 0 <= task.rounds <= MOST_ROUNDS:
        raise UsageError(
            f"{task.rounds} follow-up questions cannot be asked", hint=f"Give --rounds 0 to {MOST_ROUNDS}."
        )
    if task.retrieve is None or task.retrieve < 1:
        raise UsageError(
            "follow-up questions need passages", hint="Give --retrieve TOKENS: how many each search may add."
        )
    if not (task.query and task.query.strip()):
        raise UsageError("no question was given", hint='Put the question last: coa ask book.txt "Who ...?"')
    if task.choices or task.kind != "qa":
        raise UsageError("follow-up questions are for open questions", hint="Leave --rounds out, or the choices.")


async def plan(
    task: Task, sources: Sequence[SourceLike], settings: Settings, *, kept: Kept, model: Model | None = None
) -> Plan:
    """What `run` would cost, at most; nothing is sent."""
    async with opened(task, sources, settings, kept=kept, model=model) as session:
        return session.plan()


async def run(
    task: Task,
    sources: Sequence[SourceLike],
    settings: Settings,
    *,
    kept: Kept,
    emit: Emit = ignore,
    model: Model | None = None,
    begun: Manifest | None = None,
    limiter: Limiter | None = None,
) -> Answer:
    """Answer a question. The same again goes on where this one stopped.

    Args:
        task: A question with ``retrieve`` and ``rounds``.
        sources: One index, or documents.
        settings: Model and limits.
        kept: Standard input.
        emit: Told of each call.
        model: The model, where no name leads to it.
        begun: The run to take up.
        limiter: That of several runs side by side.

    Raises:
        InputChanged: the passages that the question finds are no longer those of the run.
        EmptyDocument: no passage bears on the question.
        CoaError: any other of its tree; finished calls are kept.
    """
    async with opened(task, sources, settings, kept=kept, model=model) as session:
        manifest = _manifest(session, sources)
        if begun is not None and begun.run_id != manifest.run_id:
            raise InputChanged(f"what run {begun.run_id!r} read is no longer what the same search finds")
        said: list[str] = []
        with open_journal(manifest, settings, stdin=kept.data, warn=said.append) as (journal, open_run):
            caller = caller_for(session.models, settings, journal, emit, limiter)
            result = await _carried_out(session, caller, manifest.run_id, emit)
            warnings = (*session.library.warnings, *said, *caller.warnings, *result.warnings)
            answer = _answer(session, result, caller, manifest.run_id, warnings)
            if open_run is not None:
                open_run.finish(answer.status, answer=answer_to_json(answer))
    for warning in answer.warnings:
        emit(Warned(message=warning))
    emit(RunFinished(answer=answer))
    return answer


@asynccontextmanager
async def opened(
    task: Task, sources: Sequence[SourceLike], settings: Settings, *, kept: Kept, model: Model | None
) -> AsyncGenerator[Session]:
    """Load or open the sources, resolve the model, and look the question up."""
    check(task)
    if not sources:
        raise UsageError("no document was given", hint="Name an index, or at least one file.")
    loaded, warnings = await load(sources, kept.read)
    models = (model or resolve_model(settings), *resolve_fallbacks(settings))
    try:
        with library(sources, loaded, warnings) as found:
            yield await _session(task, settings, models, found)
    finally:
        for each in models:
            await each.close()


async def _session(task: Task, settings: Settings, models: tuple[Model, ...], found: Library) -> Session:
    counter = models[0].counter
    window_tokens = settings.window or await default_window(*models)
    size = usable_size(window_tokens, counter.margin)
    fence = found.fence()
    ctx = Context(call=_closed, counter=counter, prompts=Prompts(), fence=fence, task=task)
    shape = Shape(
        size=size,
        reply=min(_REPLY_CAP, size // _REPLY_SHARE),
        tokens=task.retrieve or 1,
        rounds=task.rounds or 0,
    )
    gathered = Gathered(found, fence, counter)
    if not await Loop(gathered, ctx, shape, lambda _: None).begin():
        raise nothing_found()
    return Session(
        task=task,
        settings=settings,
        models=models,
        library=found,
        gathered=gathered,
        ctx=ctx,
        shape=shape,
        window_tokens=window_tokens,
    )


async def _carried_out(session: Session, caller: Caller, run_id: str, emit: Emit) -> Result:
    steps, done = calls(session.shape.rounds), 0

    def told(outcome: str) -> None:
        nonlocal done
        done = steps if outcome == "answered" else done + 1
        emit(StepDone(done=done, steps=steps, usage=caller.usage, outcome=outcome))

    passages = len(session.gathered.spans)
    emit(RunStarted(run_id=run_id, model=session.models[0].name, chunks=passages, steps=steps))
    loop = Loop(session.gathered, replace(session.ctx, call=caller), session.shape, told)
    try:
        async with asyncio.timeout(session.settings.deadline):
            return await loop.run()
    except TimeoutError:
        raise DeadlineExceeded(f"the run was not finished within {session.settings.deadline:g} s") from None


def _manifest(session: Session, sources: Sequence[SourceLike]) -> Manifest:
    return new_manifest(
        session.task,
        [name_of(source) for source in sources],
        [session.gathered.bundle.document.source],
        model=session.models[0].name,
        base_url=session.settings.base_url,
        window=session.window_tokens,
        topology=topology(session.task),
        order="best_last",
    )


def _answer(session: Session, result: Result, caller: Caller, run_id: str, warnings: Sequence[str]) -> Answer:
    """The final text with citations that point into the documents themselves."""
    bundle = session.gathered.bundle
    notes = result.answer.notes
    cited = cite(notes.text, notes, {bundle.document.id: bundle.document}, session.ctx.fence.tag)
    passages, held = len(session.gathered.spans), session.ctx.counter.count(bundle.document.text)
    documents = len({member.id for member in bundle.members})
    read = (
        f"{passages} passages of {documents} of {session.library.size} documents were read, {held} tokens, "
        f"{len(result.steps)} follow-up questions: the rest was not retrieved"
    )
    answer = Answer(
        text=cited.text,
        status="complete",
        run_id=run_id,
        model=session.models[0].name,
        citations=cited.citations,
        coverage=Coverage(chunks=passages, read=passages),
        usage=caller.usage,
        warnings=(read, *warnings),
        steps=result.steps,
    )
    return bundle.unpacked(answer)


async def _closed(_: Request) -> Reply:
    raise UsageError("nothing is sent while a run is prepared", hint="Use coa.ask.")
