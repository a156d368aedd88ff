"""How a context window is divided between prompt, notes, text and reply.

The budget of a chunk is what is left of the window after the reply, the notes, the rendered prompt without its slots,
the chat template and a margin for the tokenizer. The published algorithm (arXiv 2406.02818, Algorithm 2) forgets the
notes and the reply, so that its prompts overflow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from coa.agents.base import REPAIR_RESERVE, Context
from coa.agents.manager import may_leave_open
from coa.agents.team import team_of
from coa.agents.worker import WORDS_PER_TOKEN
from coa.errors import WindowTooSmall
from coa.serving.base import prompt_tokens
from coa.types import Notes, Passage, Span, Task

MIN_ROOM = 32
"""Fewer tokens than this are not worth a call."""

_QUERY_STEP, _QUERY_SHARE = 64, 32
_NOTES_CAP = 1024
_ANSWER_CAP = 2048
_NOTES_SHARE = 6
_ANSWER_SHARE = 4
_NO_PASSAGE = Passage(text="", span=Span(doc="", start=0, end=0), part=9999, parts=9999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A divided window; every figure in tokens of the run's counter, the margin already taken off ``size``.

    Attributes:
        size: Prompt and reply together.
        notes: Most that a worker's notes may take, as a reply and as part of the next prompt.
        answer: Most that the final text may take.
        worker: The worker's prompt without passage and notes.
        manager: The manager's prompt without notes and quotes.
    """

    size: int
    notes: int
    answer: int
    worker: int
    manager: int

    @property
    def chunk(self) -> int:
        """The budget of a chunk: it fits whatever the notes are, up to their bound."""
        return self.room(self.notes)

    def room(self, notes: int) -> int:
        """Tokens left for text beside notes of the given size."""
        return self.size - self.notes - self.worker - notes

    def room_for_quotes(self, notes: int) -> int:
        """Tokens left for quotes in the manager's prompt."""
        return self.size - self.answer - self.manager - notes


def divide(size: int, ctx: Context) -> Window:
    """Divide a window of ``size`` tokens for the task of ``ctx``.

    Raises:
        WindowTooSmall: if no text would fit.
    """
    manager = team_of(ctx).manager.request(Notes(), (), ctx, max_tokens=_ANSWER_CAP)
    if ctx.reopen:
        manager = may_leave_open(manager, ctx)
    prompt = _worker_tokens(size, ctx)
    window = Window(
        size=size,
        notes=_notes_tokens(size, prompt),
        answer=_answer_tokens(ctx.task, size),
        worker=prompt,
        manager=prompt_tokens(manager.messages, ctx.counter) + REPAIR_RESERVE,
    )
    if window.chunk < MIN_ROOM or window.room_for_quotes(window.notes) < 0:
        need = size - min(window.chunk - MIN_ROOM, window.room_for_quotes(window.notes))
        raise WindowTooSmall(
            f"a window of {size} tokens leaves no room for text beside the prompt",
            hint=f"Give a --window of at least {int(need * 1.3)} tokens, or a shorter question or focus.",
        )
    return window


def usable_size(window: int, margin: float) -> int:
    """The part of a window that is safe to fill when the counter may be too low by ``margin``."""
    return int(window / (1 + margin))


def _worker_tokens(size: int, ctx: Context) -> int:
    """The worker's prompt without passage and notes, the question rounded up to whole steps.

    Short and long questions then cut a document into the same chunks, and what a server's prefix cache keeps of them
    serves the next question too.
    """
    tokens = _rendered(ctx)
    if query := ctx.task.query:
        without = _rendered(replace(ctx, task=replace(ctx.task, query="?")))
        step = max(1, min(_QUERY_STEP, size // _QUERY_SHARE))
        tokens = max(tokens, without + -(-ctx.counter.count(query) // step) * step)
    return tokens + REPAIR_RESERVE


def _rendered(ctx: Context) -> int:
    document, speaker = ctx.labels
    empty = replace(_NO_PASSAGE, document=document, speaker=speaker)
    worker = team_of(ctx).worker.request(empty, Notes(), ctx, max_tokens=_NOTES_CAP)
    return prompt_tokens(worker.messages, ctx.counter)


def _notes_tokens(size: int, prompt: int) -> int:
    """A share of the window; of a small one, no more than is left for text, notes standing in prompt and reply."""
    return max(1, min(_NOTES_CAP, size // _NOTES_SHARE, (size - prompt) // 3))


def _answer_tokens(task: Task, size: int) -> int:
    if task.words is None:
        return min(_ANSWER_CAP, size // _ANSWER_SHARE)
    wanted = int(task.words / WORDS_PER_TOKEN) + REPAIR_RESERVE
    if wanted > size // 2:
        most = max(0, int((size // 2 - REPAIR_RESERVE) * WORDS_PER_TOKEN))
        raise WindowTooSmall(
            f"a text of {task.words} words does not fit in one reply of this window",
            hint=f"Ask for at most {most} words, or enlarge --window.",
        )
    return max(wanted, min(_ANSWER_CAP, size // _ANSWER_SHARE))
