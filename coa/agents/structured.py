"""The worker that adds to a structured memory: its prompt, its reply, and what of it is kept."""

from __future__ import annotations

from coa.agents.base import Context, ask, inputs_of
from coa.agents.memory import bounded, learned, lines_in
from coa.agents.replies import nothing_new, usable
from coa.agents.worker import WORDS_PER_TOKEN, Worker, WorkerResult
from coa.errors import UnfitReply
from coa.serving.base import Message, Reply, Request
from coa.types import Notes, Passage


class StructuredWorker:
    """Reads a passage and writes what it adds, one JSON object a line; code keeps the memory (`coa.agents.memory`)."""

    role = "worker"

    def request(self, passage: Passage, notes: Notes, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt, the passage first. Code is read with free notes: its units are signatures, not facts."""
        if ctx.task.place is not None:
            return Worker().request(passage, notes, ctx, max_tokens=max_tokens)
        fence = ctx.fence
        user = ctx.prompts["worker_memory"].render(
            passage=passage.text,
            notes=notes.text,
            query=ctx.task.query,
            part=passage.part,
            parts=passage.parts,
            document=passage.document,
            speaker=passage.speaker,
            open=fence.open,
            close=fence.close,
            words=int(max_tokens * WORDS_PER_TOKEN),
        )
        system = ctx.prompts["worker_memory_system"].render(open=fence.open, close=fence.close)
        return Request(
            messages=(Message(role="system", content=system), Message(role="user", content=user)),
            role=self.role,
            inputs={"passage": passage, "notes": notes, "form": "memory", **inputs_of(ctx.task)},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> WorkerResult:
        """Send the request; whatever the reply is, what was known stays, but for what the bound drops.

        Raises:
            InvalidReply: refused, empty, cut off, or without a line of the wanted form, twice.
        """
        if "form" not in request.inputs:
            return await Worker().run(request, ctx)
        notes: Notes = request.inputs["notes"]
        said = await ask(request, ctx, read=_formed)
        if nothing_new(said.text):
            return WorkerResult(notes=notes, dropped=0)
        lines, _ = lines_in(said.text)
        more, dropped = learned(lines, request.inputs["passage"], notes, ctx.fence.tag)
        kept = bounded(more, request.max_tokens, ctx.counter)
        return WorkerResult(notes=kept.notes, dropped=dropped, forgotten=kept.forgotten)


def _formed(reply: Reply) -> str:
    text = usable(reply)
    if not nothing_new(text) and not lines_in(text)[0]:
        raise UnfitReply("no line of it was a JSON object of one of the forms that were shown")
    return text
