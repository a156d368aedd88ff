"""The merger: several notes in, one set of notes out, with the markers of those it was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.base import Context, ask, inputs_of
from coa.agents.memory import rendered, united
from coa.agents.quotes import bind
from coa.agents.worker import WORDS_PER_TOKEN
from coa.serving.base import Message, Request
from coa.types import Notes, Passage, Span

_NO_PASSAGE = Passage(text="", span=Span(doc="", start=0, end=0), part=1, parts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """The merged notes, and how many markers were made up and dropped."""

    notes: Notes
    dropped: int


def joined(notes: Sequence[Notes]) -> Notes:
    """Notes one after the other, as they are; structured ones as one memory."""
    if any(item.facts for item in notes):
        whole = united(notes)
        return replace(whole, text=rendered(whole), tokens=sum(item.tokens for item in notes))
    texts = [item.text for item in notes if item.text]
    return Notes(
        text="\n".join(texts),
        evidence=tuple(evidence for item in notes for evidence in item.evidence),
        issued=max((item.issued for item in notes), default=0),
        tokens=sum(item.tokens for item in notes),
    )


class Merger:
    """Makes one set of notes of several."""

    role = "merger"

    def request(self, notes: Notes, ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt for notes that were `joined`."""
        task, fence = ctx.task, ctx.fence
        user = ctx.prompts["merger"].render(
            open=fence.open,
            close=fence.close,
            notes=notes.text,
            words=int(max_tokens * WORDS_PER_TOKEN),
            query=task.query or "",
        )
        system = ctx.prompts["worker_system"].render(open=fence.open, close=fence.close, tag=fence.tag)
        return Request(
            messages=(Message(role="system", content=system), Message(role="user", content=user)),
            role=self.role,
            inputs={"notes": notes, **inputs_of(task)},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> Merged:
        """Send the request; markers that were not given are dropped.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        notes: Notes = request.inputs["notes"]
        said = await ask(request, ctx)
        bound = bind(said.text, passage=_NO_PASSAGE, notes=notes, tag=ctx.fence.tag)
        tokens = min(said.tokens, ctx.counter.count(bound.notes.text))
        return Merged(notes=replace(bound.notes, issued=notes.issued, tokens=tokens), dropped=bound.dropped)
