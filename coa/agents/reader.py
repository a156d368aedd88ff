"""The reader: answers from a whole document in one call, with quotes that are verified like a worker's."""

from __future__ import annotations

from coa.agents.base import Context, inputs_of
from coa.agents.closed import labelled
from coa.agents.manager import DEFAULT_SUMMARY_WORDS, ask_final, place_values
from coa.agents.quotes import bind
from coa.agents.worker import WorkerResult
from coa.serving.base import Message, Request
from coa.types import Notes, Passage


class Reader:
    """Reads everything at once and writes the final text; its markers are left for `coa.agents.citing.cite`."""

    role = "reader"

    def request(self, passage: Passage, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt: the document first, so that a server's prefix cache serves other questions on it."""
        task, fence = ctx.task, ctx.fence
        values: dict[str, object] = {"passage": passage.text, "open": fence.open, "close": fence.close}
        if task.place is not None:
            name, extra = "reader_code", place_values(task.place, task.query)
        elif task.kind == "verify":
            name, extra = "reader_verify", {"query": task.query}
        elif task.choices:
            name, extra = "reader_choice", {"query": task.query, "options": labelled(task.choices)}
        elif task.kind == "qa":
            name, extra = "reader_query", {"query": task.query, "words": task.words}
        else:
            name, extra = "reader_summary", {"focus": task.query, "words": task.words or DEFAULT_SUMMARY_WORDS}
        return Request(
            messages=(Message(role="user", content=ctx.prompts[name].render(**values, **extra)),),
            role=self.role,
            inputs={"passage": passage, **inputs_of(task)},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> WorkerResult:
        """Send the request; the notes that come back are the final text with verified evidence.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        said = await ask_final(request, ctx)
        if ctx.task.kind == "complete":
            return WorkerResult(notes=Notes(text=said.text), dropped=0)
        bound = bind(said.text, passage=request.inputs["passage"], notes=Notes(), tag=ctx.fence.tag)
        return WorkerResult(notes=bound.notes, dropped=bound.dropped)
