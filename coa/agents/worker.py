"""The worker: reads one passage, rewrites the notes (arXiv 2406.02818, section 3.1 and Tables 11-12)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coa.agents.base import Context, ask, inputs_of
from coa.agents.quotes import bind
from coa.agents.replies import nothing_new
from coa.serving.base import Message, Request
from coa.types import Fact, Notes, Passage

WORDS_PER_TOKEN = 0.6
"""Words that fit in a token, low enough for English prose and code alike: the length a prompt asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResult:
    """What came of reading a passage.

    Attributes:
        notes: The new notes.
        dropped: How many quotes were not in the text.
        forgotten: Facts that a structured memory had no room for.
    """

    notes: Notes
    dropped: int
    forgotten: tuple[Fact, ...] = ()


class Worker:
    """Reads a passage with the notes so far."""

    role = "worker"

    def request(self, passage: Passage, notes: Notes, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt: the passage first and the notes after it, so that a server's prefix cache can serve."""
        task, fence = ctx.task, ctx.fence
        values: dict[str, object] = {
            "passage": passage.text,
            "notes": notes.text,
            "part": passage.part,
            "parts": passage.parts,
            "open": fence.open,
            "close": fence.close,
            "words": int(max_tokens * WORDS_PER_TOKEN),
        }
        name = "worker_summary"
        if task.place is not None:
            name, values = "worker_code", {**values, "query": task.query, "file": task.place.file}
        else:
            values |= {"document": passage.document, "speaker": passage.speaker}
            if task.query is not None:
                name, values["query"] = "worker_query", task.query
        system = ctx.prompts["worker_system"].render(open=fence.open, close=fence.close, tag=fence.tag)
        return Request(
            messages=(
                Message(role="system", content=system),
                Message(role="user", content=ctx.prompts[name].render(**values)),
            ),
            role=self.role,
            inputs={"passage": passage, "notes": notes, **inputs_of(task)},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> WorkerResult:
        """Send the request and verify what comes back. "Nothing new" keeps the notes as they were.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        passage: Passage = request.inputs["passage"]
        notes: Notes = request.inputs["notes"]
        said = await ask(request, ctx)
        if nothing_new(said.text):
            return WorkerResult(notes=notes, dropped=0)
        bound = bind(said.text, passage=passage, notes=notes, tag=ctx.fence.tag)
        if not bound.notes.text:
            return WorkerResult(notes=replace(notes, issued=bound.notes.issued), dropped=bound.dropped)
        tokens = min(said.tokens, ctx.counter.count(bound.notes.text))
        return WorkerResult(notes=replace(bound.notes, tokens=tokens), dropped=bound.dropped)
