"""The last call of every topology: the manager answers from notes and as many of their quotes as fit."""

from __future__ import annotations

from coa.agents.base import prompt_tokens
from coa.agents.manager import quote_line
from coa.agents.team import team_of
from coa.errors import ContextOverflow
from coa.pipelines.base import Job
from coa.pipelines.reading import shrink
from coa.pipelines.window import Window
from coa.types import Evidence, Notes


async def answer(notes: Notes, window: Window, job: Job) -> str:
    """Ask the manager; when the server finds the prompt too long, show fewer quotes and ask again."""
    manager = team_of(job.ctx).manager
    while True:
        quotes = _quotes_that_fit(notes, window, job)
        request = manager.request(notes, quotes, job.ctx, max_tokens=window.answer)
        try:
            return await manager.run(request, job.ctx)
        except ContextOverflow as error:
            if not quotes:
                raise
            window = shrink(window, error, prompt_tokens(request.messages, job.ctx.counter), job)


def _quotes_that_fit(notes: Notes, window: Window, job: Job) -> tuple[Evidence, ...]:
    room = window.room_for_quotes(notes.tokens)
    fitting: list[Evidence] = []
    for item in notes.evidence:
        room -= job.ctx.counter.count(quote_line(item, job.ctx)) + 1
        if room < 0:
            break
        fitting.append(item)
    return tuple(fitting)
