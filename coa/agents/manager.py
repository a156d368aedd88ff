"""The manager: writes the answer from the last notes (arXiv 2406.02818, section 3.2 and Tables 11-12)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from coa.agents.base import Context, Said, ask, inputs_of
from coa.agents.closed import closed, labelled
from coa.agents.code import code_of
from coa.agents.replies import usable
from coa.serving.base import Message, Reply, Request
from coa.types import Evidence, Notes, Place, Task

DEFAULT_SUMMARY_WORDS = 300
_OPEN = re.compile(r"^\W*OPEN\b\W+([^\n]{3,400})")


class Manager:
    """Turns notes into the final text; markers stay in it for `coa.agents.citing.cite`."""

    role = "manager"

    def request(self, notes: Notes, quotes: Sequence[Evidence], ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt from the notes and as many of their quotes as the caller found room for."""
        task, fence = ctx.task, ctx.fence
        values: dict[str, object] = {
            "notes": notes.text,
            "evidence": "\n".join(quote_line(item, ctx) for item in quotes),
            "open": fence.open,
            "close": fence.close,
        }
        if task.place is not None:
            name, extra = "manager_code", place_values(task.place, task.query)
        elif task.kind == "verify":
            name, extra = "manager_verify", {"query": task.query}
        elif task.choices:
            name, extra = "manager_choice", {"query": task.query, "options": labelled(task.choices)}
        elif task.kind == "qa":
            name, extra = "manager_query", {"query": task.query, "words": task.words}
        else:
            name, extra = "manager_summary", {"focus": task.query, "words": task.words or DEFAULT_SUMMARY_WORDS}
        if task.place is not None:
            system = ctx.prompts["manager_code_system"].render(open=fence.open, close=fence.close)
        else:
            system = ctx.prompts["manager_system"].render(open=fence.open, close=fence.close, tag=fence.tag)
        return Request(
            messages=(
                Message(role="system", content=system),
                Message(role="user", content=ctx.prompts[name].render(**values, **extra)),
            ),
            role=self.role,
            inputs={"notes": notes, **inputs_of(task)},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> str:
        """Send the request and return the usable text.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        return (await ask_final(request, ctx)).text


def may_leave_open(request: Request, ctx: Context) -> Request:
    """A manager's request that also lets it say what the notes leave open; see `needed`."""
    note = ctx.prompts["manager_reopen"].render(count=ctx.reopen)
    *head, last = request.messages
    return replace(request, messages=(*head, replace(last, content=last.content + note)))


def needed(text: str) -> str | None:
    """What a manager left open, in its words; None where it answered."""
    match = _OPEN.match(text)
    return match[1].strip() if match else None


async def ask_final(request: Request, ctx: Context) -> Said:
    """Ask for a final text in the form that the task wants: lines of code, a verdict or a choice first, or any text.

    A second reply without a verdict or a choice is taken as it is: the outcome says that nothing was judged.

    Raises:
        InvalidReply: refused, empty, cut off or without code, twice.
    """
    task = ctx.task
    if ctx.reopen and request.role == Manager.role:
        return await ask(request, ctx, read=lambda reply: _open_or(reply, task), last=usable)
    if task.place is not None:
        before, lines = task.query or "", task.place.lines
        return await ask(request, ctx, read=lambda reply: code_of(reply, before, lines))
    if task.kind == "verify" or task.choices:
        return await ask(request, ctx, read=lambda reply: closed(reply, task), last=usable)
    return await ask(request, ctx)


def _open_or(reply: Reply, task: Task) -> str:
    """The text of a reply that leaves something open, or one in the form that the task wants."""
    text = usable(reply)
    if needed(text) is not None or not (task.kind == "verify" or task.choices):
        return text
    return closed(reply, task)


def place_values(place: Place, query: str | None) -> dict[str, object]:
    """What the prompts for code say about the place."""
    return {"query": query or "", "file": place.file, "lines": place.lines}


def quote_line(item: Evidence, ctx: Context | None = None) -> str:
    """How a quote is shown to the manager, with its document where there are several."""
    document = f"({item.span.doc}) " if ctx is not None and ctx.several else ""
    return f"[{item.marker}] {document}{' '.join(item.quote.split())}"
