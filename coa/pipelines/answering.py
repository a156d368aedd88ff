"""The last call of every topology: the manager answers from notes and as many of their quotes as fit.

With ``--reopen`` the manager may first say what the notes leave open; the parts closest to that are then read again, as
ReadAgent's reader looks pages up again (arXiv 2402.09727), and the manager answers from what the notes have become.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from coa.agents.manager import may_leave_open, needed, quote_line
from coa.agents.team import team_of
from coa.errors import ContextOverflow
from coa.events import Reopened
from coa.pipelines.base import Calls, Job
from coa.pipelines.order import closeness
from coa.pipelines.reading import State, read_chunk, shrink
from coa.pipelines.window import Window, divide
from coa.runtime.together import together
from coa.serving.base import prompt_tokens
from coa.types import Evidence, Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The manager's text, and the notes that its markers refer to."""

    text: str
    notes: Notes
    dropped: int = 0


async def answer(notes: Notes, window: Window, job: Job) -> Answered:
    """Ask the manager; when the server finds the prompt too long, show fewer quotes and ask again."""
    closing = replace(job, ctx=replace(job.ctx, reopen=0))
    if not can_reopen(job):
        return Answered(text=await _ask(notes, window, closing), notes=notes)
    text = await _ask(notes, window, job)
    if (need := needed(text)) is None:
        return Answered(text=text, notes=notes)
    state = await _read_again(need, State(notes=notes, window=window), job)
    text = await _ask(state.notes, window, closing)
    return Answered(text=text, notes=state.notes, dropped=state.dropped)


async def answers(notes: Notes, window: Window, job: Job) -> list[Answered]:
    """One answer, or one for each of the questions that share the reading, side by side."""
    task = job.ctx.task
    if not task.batch:
        return [await answer(notes, window, job)]
    alone = [replace(task, query=each.query, choices=each.choices, batch=()) for each in task.batch]
    return await together([_alone(notes, window, replace(job, ctx=replace(job.ctx, task=each))) for each in alone])


async def _alone(notes: Notes, window: Window, job: Job) -> Answered:
    """An answer to one of several questions, whose prompt is not as long as that of all of them."""
    own = divide(window.size, job.ctx)
    return await answer(notes, replace(window, manager=own.manager, answer=own.answer), job)


def can_reopen(job: Job) -> bool:
    """Whether the manager may have parts read again: questions and claims only."""
    return job.ctx.reopen > 0 and job.ctx.task.kind in ("qa", "verify")


def closing(window: Window) -> Calls:
    """What one more question over the same reading adds, at most: a turn of the manager beside the others."""
    return Calls(calls=1, serial=0, prompt_tokens=window.manager + window.notes, completion_tokens=window.answer)


def reopening(k: int, window: Window) -> Calls:
    """What it adds, at most: one more turn of the manager, and ``k`` parts one after the other."""
    return Calls(
        calls=k + 1,
        serial=k + 1,
        prompt_tokens=k * (window.size - window.notes) + window.manager + window.notes,
        completion_tokens=k * window.notes + window.answer,
    )


async def _ask(notes: Notes, window: Window, job: Job) -> str:
    manager = team_of(job.ctx).manager
    while True:
        quotes = _quotes_that_fit(notes, window, job)
        request = manager.request(notes, quotes, job.ctx, max_tokens=window.answer)
        if can_reopen(job):
            request = may_leave_open(request, job.ctx)
        try:
            return await manager.run(request, job.ctx)
        except ContextOverflow as error:
            if not quotes:
                raise
            window = shrink(window, error, prompt_tokens(request.messages, job.ctx.counter), job)


async def _read_again(need: str, state: State, job: Job) -> State:
    """The parts closest to what is needed, in the order of the documents; one that fails leaves the notes alone."""
    texts = [job.document(chunk.span.doc).read(chunk.span) for chunk in job.chunks]
    scores = closeness(texts, need, job.measure)
    best = sorted(range(len(texts)), key=lambda i: (-scores[i], i))[: job.ctx.reopen]
    chunks = [job.chunks[i] for i in sorted(best)]
    job.emit(Reopened(need=need, spans=tuple(chunk.span for chunk in chunks)))
    task = replace(job.ctx.task, query=f"{job.ctx.task.query}\n{need}")
    again = replace(job, ctx=replace(job.ctx, task=task))
    state = replace(state, window=divide(state.window.size, again.ctx))
    for chunk in chunks:
        state = await read_chunk(chunk, chunk.index + 1, state, again)
    return state


def _quotes_that_fit(notes: Notes, window: Window, job: Job) -> tuple[Evidence, ...]:
    room = window.room_for_quotes(notes.tokens)
    fitting: list[Evidence] = []
    for item in notes.evidence:
        room -= job.ctx.counter.count(quote_line(item, job.ctx)) + 1
        if room < 0:
            break
        fitting.append(item)
    return tuple(fitting)
