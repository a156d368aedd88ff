"""`Agent`: one prompt, one reply, one parser. And `Context`, what every agent of a run is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from coa.agents.fence import Fence
from coa.agents.replies import usable
from coa.errors import InvalidReply, TruncatedReply, UnfitReply
from coa.prompts import Prompts
from coa.serving.base import Reply, Request
from coa.tokens import TokenCounter
from coa.types import Task

if TYPE_CHECKING:
    from coa.agents.team import Team

Result = TypeVar("Result", covariant=True)

REPAIR_RESERVE = 64
"""Tokens kept free in every prompt for the sentence that asks for a better reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What an agent works with.

    Attributes:
        call: The run's one door to the model: journal, limits, budget, retries.
        labels: The longest id of a document, where there are several so that it matters which one a fact is from, and
            the longest name of a speaker: a prompt must have room for them.
        team: Who plays the roles; None for the usual agents.
        reopen: How many chunks the manager may have read again when the notes leave something open.
    """

    call: Callable[[Request], Awaitable[Reply]]
    counter: TokenCounter
    prompts: Prompts
    fence: Fence
    task: Task
    labels: tuple[str, str] = ("", "")
    team: Team | None = None
    reopen: int = 0

    @property
    def several(self) -> bool:
        """Whether there are several documents."""
        return bool(self.labels[0])


@runtime_checkable
class Agent(Protocol[Result]):
    """Anything with a role that renders its inputs into one request and parses the reply."""

    @property
    def role(self) -> str:
        """The name that requests, events and the journal show."""
        ...

    async def run(self, request: Request, ctx: Context) -> Result:
        """Send the request and parse what comes back."""
        ...


def inputs_of(task: Task) -> dict[str, object]:
    """What of a task a model that reads values may look at."""
    return {"query": task.query, "kind": task.kind, "words": task.words, "place": task.place, "choices": task.choices}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A usable text, and its size in tokens: as the provider counted it, or estimated where it did not."""

    text: str
    tokens: int


Read = Callable[[Reply], str]
"""Takes the text out of a reply, or raises the `InvalidReply` that says what is wrong with it."""


async def ask(request: Request, ctx: Context, read: Read = usable, last: Read | None = None) -> Said:
    """Send a request and return its usable text; an unusable reply is answered with one repair turn, no more.

    Args:
        request: What to send.
        ctx: How.
        read: Takes the text out of a reply.
        last: Does so for the second reply, where less is asked of it.

    Raises:
        InvalidReply: if the second reply is unusable too.
    """
    try:
        return _said(await ctx.call(request), ctx, read)
    except InvalidReply as error:
        return _said(await ctx.call(_repaired(request, error, ctx)), ctx, last or read)


def _said(reply: Reply, ctx: Context, read: Read) -> Said:
    text = read(reply)
    return Said(text=text, tokens=reply.completion_tokens or ctx.counter.count(text))


def _repaired(request: Request, error: InvalidReply, ctx: Context) -> Request:
    words = request.max_tokens // 3 if isinstance(error, TruncatedReply) else 0
    note = ctx.prompts["repair"].render(problem=_problem(error), words=words)
    *head, last = request.messages
    return replace(request, messages=(*head, replace(last, content=last.content + note)))


def _problem(error: InvalidReply) -> str:
    if isinstance(error, UnfitReply):
        return error.message
    return {
        "TruncatedReply": "it was cut off",
        "EmptyReply": "it was empty",
        "RefusedReply": "it did not do the task",
    }.get(error.code, "it was malformed")
