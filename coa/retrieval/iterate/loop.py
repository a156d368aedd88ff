"""The loop of IterDRAG (arXiv 2410.04343): ask for what is missing, look it up, answer it, and in the end the question.

Without rounds it is DRAG: one call over all passages. Every prompt fits the window: when there is no room for more
passages the answer is asked for at once, and the result says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from coa.agents.base import REPAIR_RESERVE, Context
from coa.agents.researcher import MOST_QUESTION_CHARS, SUB_TOKENS, Decision, Researcher, verified
from coa.agents.worker import WorkerResult
from coa.errors import WindowTooSmall
from coa.retrieval.iterate.gathering import Gathered
from coa.serving.base import Request, prompt_tokens
from coa.types import Passage, Span, Step

STEP_TOKENS = 96
"""Kept free for a follow-up question and its answer; where they are longer, a passage gives up its place."""
LONGEST_STEP = SUB_TOKENS + MOST_QUESTION_CHARS // 2 + 16
"""About what they may take at most."""

_EMPTY = Passage(text="", span=Span(doc="", start=0, end=0), part=1, parts=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How a run is bounded; tokens of its counter, the margin already taken off ``size``.

    Attributes:
        size: Prompt and reply together.
        reply: Most that an answer may take.
        tokens: Most that the passages of one search may have together.
        rounds: Follow-up questions at most.
    """

    size: int
    reply: int
    tokens: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The answer with its verified quotes, the steps that led to it, and what the user should know."""

    answer: WorkerResult
    steps: tuple[Step, ...]
    warnings: tuple[str, ...] = ()


def overhead(ctx: Context, shape: Shape, step: int = STEP_TOKENS) -> int:
    """Tokens of the longest prompt without its passages, with all the steps there may be, of ``step`` tokens each."""
    ask, steps = Researcher(), [Step(question="", answer="")] * shape.rounds
    longest = max(
        prompt_tokens(request.messages, ctx.counter)
        for request in (
            ask.step(_EMPTY, steps, ctx, max_tokens=1),
            ask.answer(_EMPTY, steps, ctx, max_tokens=1),
            ask.sub(_EMPTY, "", steps, ctx),
        )
    )
    return longest + shape.rounds * step + REPAIR_RESERVE


def room_for_passages(ctx: Context, shape: Shape) -> int:
    """Tokens of passages that any prompt of the run has room for."""
    return shape.size - shape.reply - overhead(ctx, shape)


class Loop:
    """One question, one set of passages that grows.

    Args:
        gathered: What finds and keeps the passages.
        ctx: The door to the model.
        shape: The bounds.
        told: Called after each call, with what came of it.
    """

    def __init__(self, gathered: Gathered, ctx: Context, shape: Shape, told: Callable[[str], None]) -> None:
        self._gathered, self._ctx, self._shape, self._told = gathered, ctx, shape, told
        self._steps: list[Step] = []
        self._said: list[str] = []

    async def begin(self) -> int:
        """The first search; how many passages it found.

        Raises:
            WindowTooSmall: the passages asked for do not fit into one prompt.
        """
        room = room_for_passages(self._ctx, self._shape)
        if self._shape.tokens > room:
            raise WindowTooSmall(
                f"{self._shape.tokens} tokens of passages do not fit into one call, which has room for {room}",
                hint="Give a smaller --retrieve or a larger --window; without --rounds a chain reads any amount.",
            )
        return await asyncio.to_thread(self._look_up, self._ctx.task.query or "")

    async def run(self) -> Result:
        """Ask until nothing is missing, no round is left or no room.

        Raises:
            ModelError: the provider failed for good, or its replies cannot be used.
        """
        while len(self._steps) < self._shape.rounds:
            decision = await self._decide()
            if decision.answer:
                return self._result(verified(decision.answer, self._gathered.passage, self._ctx))
            if _plain(decision.follow_up) in {_plain(step.question) for step in self._steps}:
                self._said.append("the same follow-up question came twice: the answer was asked for at once")
                break
            if not await asyncio.to_thread(self._look_up, decision.follow_up):
                self._said.append(f"nothing new was found for {decision.follow_up!r}")
            await self._answer_step(decision.follow_up)
        request = self._ask(Researcher().answer)
        final = await Researcher().final(request, self._ctx)
        self._told("answered")
        return self._result(final)

    async def _decide(self) -> Decision:
        decision = await Researcher().decide(self._ask(Researcher().step), self._ctx)
        self._told("answered" if decision.answer else "asked")
        return decision

    async def _answer_step(self, question: str) -> None:
        tokens = min(SUB_TOKENS, self._shape.reply)
        request = self._fitting(
            lambda passage: Researcher().sub(passage, question, self._steps, self._ctx, max_tokens=tokens)
        )
        answer = await Researcher().found(request, self._ctx)
        self._steps.append(Step(question=question, answer=answer))
        self._told("found")

    def _ask(self, build: Callable[..., Request]) -> Request:
        return self._fitting(lambda passage: build(passage, self._steps, self._ctx, max_tokens=self._shape.reply))

    def _fitting(self, build: Callable[[Passage], Request]) -> Request:
        """The request with as many passages as fit: questions and answers may be longer than was reckoned with."""
        while True:
            request = build(self._gathered.passage)
            size = prompt_tokens(request.messages, self._ctx.counter) + request.max_tokens + REPAIR_RESERVE
            if size <= self._shape.size:
                return request
            if len(self._gathered.spans) == 1:
                raise WindowTooSmall(
                    f"a prompt of {size} tokens does not fit into {self._shape.size}",
                    hint="Give a larger --window, fewer --shots or fewer --rounds.",
                )
            self._gathered.drop_last()
            self._said.append("a passage was put back: the questions and answers on the way took its room")

    def _look_up(self, query: str) -> int:
        """Add passages for a query, as far as there is room in the prompts to come."""
        before = len(self._gathered.spans)
        left = room_for_passages(self._ctx, self._shape) - self._held()
        if left > 0:
            self._gathered.add(query, min(self._shape.tokens, left))
        full = left < self._shape.tokens
        while self._held() > room_for_passages(self._ctx, self._shape) and len(self._gathered.spans) > before:
            self._gathered.drop_last()
            full = True
        if full:
            self._said.append(f"the window had no room for {self._shape.tokens} more tokens of passages on {query!r}")
        return len(self._gathered.spans) - before

    def _held(self) -> int:
        return self._ctx.counter.count(self._gathered.passage.text)

    def _result(self, answer: WorkerResult) -> Result:
        if answer.dropped:
            self._said.append(f"{answer.dropped} quotes of the answer were not in the passages and were dropped")
        return Result(answer=answer, steps=tuple(self._steps), warnings=tuple(dict.fromkeys(self._said)))


def _plain(text: str) -> str:
    return " ".join("".join(char if char.isalnum() else " " for char in text.casefold()).split())
