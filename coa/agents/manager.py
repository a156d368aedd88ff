"""The manager: writes the answer from the last notes (arXiv 2406.02818, section 3.2 and Tables 11-12)."""

from __future__ import annotations

from collections.abc import Sequence

from coa.agents.base import Context, ask
from coa.serving.base import Message, Request
from coa.types import Evidence, Notes

DEFAULT_SUMMARY_WORDS = 300


class Manager:
    """Turns notes into the final text; markers stay in it for `coa.agents.citing.cite`."""

    role = "manager"

    def request(self, notes: Notes, quotes: Sequence[Evidence], ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt from the notes and as many of their quotes as the caller found room for."""
        task, fence = ctx.task, ctx.fence
        values: dict[str, object] = {
            "notes": notes.text,
            "evidence": "\n".join(quote_line(item) for item in quotes),
            "open": fence.open,
            "close": fence.close,
        }
        if task.kind == "verify":
            name, extra = "manager_verify", {"query": task.query}
        elif task.kind == "qa":
            name, extra = "manager_query", {"query": task.query, "words": task.words}
        else:
            name, extra = "manager_summary", {"focus": task.query, "words": task.words or DEFAULT_SUMMARY_WORDS}
        system = ctx.prompts["manager_system"].render(open=fence.open, close=fence.close, tag=fence.tag)
        return Request(
            messages=(
                Message(role="system", content=system),
                Message(role="user", content=ctx.prompts[name].render(**values, **extra)),
            ),
            role=self.role,
            inputs={"notes": notes, "query": task.query, "kind": task.kind, "words": task.words},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> str:
        """Send the request and return the usable text.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        return (await ask(request, ctx)).text


def quote_line(item: Evidence) -> str:
    """How a quote is shown to the manager."""
    return f"[{item.marker}] {' '.join(item.quote.split())}"
