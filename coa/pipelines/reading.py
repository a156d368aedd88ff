"""Read one chunk with a worker, whatever its size turns out to be.

The plan says that a chunk fits. When it does not after all, because the notes grew or the server counts differently,
the chunk is read in pieces; what the server's refusal teaches about its window is kept for the chunks that follow.
A reply that is cut at its limit twice says that the chunk holds more than fits in notes: it is read in halves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.team import team_of
from coa.errors import ContextOverflow, InvalidReply, TruncatedReply, WindowTooSmall
from coa.events import FactsDropped
from coa.pipelines.base import Job
from coa.pipelines.window import MIN_ROOM, Window, divide
from coa.serving.base import Request, prompt_tokens
from coa.split import split_text
from coa.types import Chunk, Fact, Notes, Passage, Span, Unread

_SAFETY = 0.97
_UNKNOWN_LIMIT = 0.7
_LEAST_STEP = 0.9
_SMALLEST_SHARE = 5
"""Where replies are cut, a chunk is read in quarters and no smaller: each piece that fails costs two calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one chunk leaves for the next: notes, the window as learned so far, and how many quotes were dropped.

    ``forgotten`` counts facts that structured notes had no room for; ``unread`` holds the stretches of this chunk that
    a model failed to read.
    """

    notes: Notes
    window: Window
    dropped: int = 0
    forgotten: int = 0
    unread: tuple[Unread, ...] = ()


async def read_chunk(chunk: Chunk, part: int, state: State, job: Job) -> State:
    """Read a chunk and return the new state; ``state.unread`` names the stretches that a model failed to read."""
    state = replace(state, unread=())
    todo, most = chunk.span, chunk.tokens
    while len(todo):
        piece, tokens = _head(todo, most, chunk, state, job)
        try:
            state = await _read(piece, part, state, job)
        except ContextOverflow as error:
            state = replace(state, window=_learned(error, piece, part, state, job))
            continue
        except TruncatedReply as error:
            if (half := -(-tokens // 2)) >= max(MIN_ROOM, chunk.tokens // _SMALLEST_SHARE):
                most = half
                continue
            # When not even the beginning could be read, the rest is not tried: it would cost as much again.
            piece = todo if todo == chunk.span else piece
            state = _failed(piece, error, state)
        except InvalidReply as error:
            state = _failed(piece, error, state)
        todo = replace(todo, start=piece.end)
    return state


def _failed(piece: Span, error: InvalidReply, state: State) -> State:
    return replace(state, unread=(*state.unread, Unread(span=piece, reason=f"{error.code}: {error.message}")))


def _head(span: Span, most: int, chunk: Chunk, state: State, job: Job) -> tuple[Span, int]:
    """The longest beginning of ``span`` that fits beside the notes and has at most ``most`` tokens; its tokens."""
    room = min(most, state.window.room(state.notes.tokens))
    if span == chunk.span and chunk.tokens <= room:
        return span, chunk.tokens
    if room < MIN_ROOM:
        raise WindowTooSmall(
            f"the notes ({state.notes.tokens} tokens) leave no room for text in the window",
            hint="Give a larger --window; the model writes longer notes than it was asked to.",
        )
    text = job.document(span.doc).text
    start, end, tokens = split_text(text, room, job.ctx.counter, span.start, span.end)[0]
    return Span(doc=span.doc, start=start, end=end), tokens


def _request(piece: Span, part: int, state: State, job: Job) -> Request:
    document = job.document(piece.doc)
    passage = Passage(
        text=document.read(piece),
        span=piece,
        part=part,
        parts=len(job.chunks),
        document=piece.doc if job.ctx.several else "",
        speaker=document.interrupted(piece.start) or "",
    )
    return team_of(job.ctx).worker.request(passage, state.notes, job.ctx, max_tokens=state.window.notes)


async def _read(piece: Span, part: int, state: State, job: Job) -> State:
    result = await team_of(job.ctx).worker.run(_request(piece, part, state, job), job.ctx)
    tell_forgotten(result.forgotten, job)
    return replace(
        state,
        notes=result.notes,
        dropped=state.dropped + result.dropped,
        forgotten=state.forgotten + len(result.forgotten),
    )


def tell_forgotten(facts: Sequence[Fact], job: Job) -> None:
    """Say which facts the bound of structured notes has cost."""
    if facts:
        job.emit(FactsDropped(facts=tuple(fact.text for fact in facts)))


def _learned(error: ContextOverflow, piece: Span, part: int, state: State, job: Job) -> Window:
    """The window after a refusal, in our own tokens."""
    sent = prompt_tokens(_request(piece, part, state, job).messages, job.ctx.counter)
    return shrink(state.window, error, sent, job)


def shrink(window: Window, error: ContextOverflow, sent: int, job: Job) -> Window:
    """A smaller window, by the ratio that the server's refusal of a prompt of ``sent`` tokens shows.

    Raises:
        ContextOverflow: the refusal itself, if no window that small can hold the prompt.
    """
    if error.limit and error.actual:
        size = int(error.limit * sent / error.actual * _SAFETY)
    else:
        size = int(min(error.limit or window.size, window.size * _UNKNOWN_LIMIT))
    try:
        return divide(min(size, int(window.size * _LEAST_STEP)), job.ctx)
    except WindowTooSmall:
        raise error from None
