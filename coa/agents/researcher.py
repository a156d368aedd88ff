"""The researcher: answers from passages, or asks for what is missing (DRAG and IterDRAG, arXiv 2410.04343)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from coa.agents.base import Context, ask, inputs_of
from coa.agents.quotes import bind
from coa.agents.replies import usable
from coa.agents.worker import WorkerResult
from coa.errors import UnfitReply
from coa.serving.base import Message, Reply, Request
from coa.types import Notes, Passage, Shot, Step

SUB_TOKENS = 256
"""Most that an intermediate answer may take."""
MOST_QUESTION_CHARS = 400

_FOLLOW_UP = re.compile(r"^\W*follow[ -]?up(?: question)?\W*:\s*(.+)", re.IGNORECASE)
_ANSWER = re.compile(r"^\W*(?:so the )?(?:final )?answer(?: is)?\W*?:\s*(.*)", re.IGNORECASE | re.DOTALL)
_QUOTES = re.compile(r"\s*\[\[.*?\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the researcher wants next: ``follow_up`` asks for more; else ``answer`` is the final text with quotes."""

    follow_up: str = ""
    answer: str = ""


class Researcher:
    """Reads all passages found so far, with worked examples before them and earlier steps behind."""

    def answer(self, passage: Passage, steps: Sequence[Step], ctx: Context, *, max_tokens: int) -> Request:
        """Ask for the final answer."""
        return self._request("drag_answer", "reader", passage, ctx.task.query or "", steps, ctx, max_tokens)

    def step(self, passage: Passage, steps: Sequence[Step], ctx: Context, *, max_tokens: int) -> Request:
        """Ask for a follow-up question, or for the final answer where nothing is missing."""
        return self._request("drag_step", "researcher", passage, ctx.task.query or "", steps, ctx, max_tokens)

    def sub(
        self, passage: Passage, question: str, steps: Sequence[Step], ctx: Context, *, max_tokens: int = SUB_TOKENS
    ) -> Request:
        """Ask for the answer to a follow-up question."""
        return self._request("drag_sub", "researcher", passage, question, steps, ctx, max_tokens)

    async def decide(self, request: Request, ctx: Context) -> Decision:
        """Send a `step` request; a second reply that is neither counts as the answer.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        said = await ask(request, ctx, read=_decided, last=usable)
        return decision_in(said.text) or Decision(answer=said.text)

    async def found(self, request: Request, ctx: Context) -> str:
        """Send a `sub` request; the one sentence that comes back, without quotes.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        said = await ask(request, ctx)
        return " ".join(_QUOTES.sub("", said.text).split())

    async def final(self, request: Request, ctx: Context) -> WorkerResult:
        """Send an `answer` request and verify its quotes.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        return verified((await ask(request, ctx)).text, request.inputs["passage"], ctx)

    def _request(
        self,
        name: str,
        role: str,
        passage: Passage,
        query: str,
        steps: Sequence[Step],
        ctx: Context,
        max_tokens: int,
    ) -> Request:
        values: dict[str, object] = {
            "passages": passage.text,
            "shots": "\n\n".join(map(_shot, ctx.task.shots)),
            "query": query,
            "steps": "\n".join(map(_step, steps)),
            "open": ctx.fence.open,
            "close": ctx.fence.close,
        }
        if name != "drag_sub":
            values["words"] = ctx.task.words
        return Request(
            messages=(Message(role="user", content=ctx.prompts[name].render(**values)),),
            role=role,
            inputs={"passage": passage, **inputs_of(ctx.task), "query": query},
            max_tokens=max_tokens,
        )


def decision_in(text: str) -> Decision | None:
    """A follow-up question or an answer, as a reply to `Researcher.step` begins; None where it is neither."""
    if match := _FOLLOW_UP.match(text):
        question = " ".join(match[1].split())
        return Decision(follow_up=question) if len(question) <= MOST_QUESTION_CHARS else None
    if (match := _ANSWER.match(text)) and match[1].strip():
        return Decision(answer=match[1].strip())
    return None


def verified(text: str, passage: Passage, ctx: Context) -> WorkerResult:
    """An answer with its quotes looked up in the passages; those that do not stand there are dropped."""
    bound = bind(text, passage=passage, notes=Notes(), tag=ctx.fence.tag)
    return WorkerResult(notes=bound.notes, dropped=bound.dropped)


def _decided(reply: Reply) -> str:
    text = usable(reply)
    if decision_in(text) is None:
        raise UnfitReply("it began neither with FOLLOW UP: and a short question nor with ANSWER: and the answer")
    return text


def _step(step: Step) -> str:
    return f"Follow up: {step.question}\nIntermediate answer: {step.answer}"


def _shot(shot: Shot) -> str:
    lines = [*shot.passages, f"Question: {shot.question}", *map(_step, shot.steps), f"Answer: {shot.answer}"]
    return "\n".join(" ".join(line.split()) if "\n" not in line else line for line in lines)
