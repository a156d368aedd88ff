"""The ranker: reads numbered passages and says in which order they answer a query (RankGPT, arXiv 2304.09542)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.base import Context, Said, ask
from coa.agents.replies import usable
from coa.errors import UnfitReply
from coa.serving.base import Message, Reply, Request

_NUMBER = re.compile(r"\[\s*(\d{1,6})\s*\]")
_BARE = re.compile(r"\d{1,6}")
_ONLY_NUMBERS = re.compile(r"[\d\s>,;.=]+")
_ENOUGH = 0.5
"""A reply that names a smaller share of the passages is no ranking: it is asked for once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permutation:
    """A ranking of ``n`` passages, made whole.

    Attributes:
        order: Every index from 0 to ``n - 1`` once, the best first.
        missing: How many the reply left out: they follow in the order they had.
        repeated: How often it named one again: the first place counts.
        unknown: How many numbers it made up.
        asked_again: Whether the reply is the second one.
    """

    order: tuple[int, ...]
    missing: int = 0
    repeated: int = 0
    unknown: int = 0
    asked_again: bool = False


def permutation(text: str, n: int) -> Permutation:
    """The ranking that a text names, as ``[2] > [3] > [1]`` or, where it is numbers alone, ``2 > 3 > 1``.

    Args:
        text: What a model wrote.
        n: Passages that it was shown, numbered from 1.
    """
    found = _NUMBER.findall(text) or (_BARE.findall(text) if _ONLY_NUMBERS.fullmatch(text) else [])
    named = [int(number) - 1 for number in found]
    known = [index for index in named if 0 <= index < n]
    unique = list(dict.fromkeys(known))
    rest = [index for index in range(n) if index not in set(unique)]
    return Permutation(
        order=(*unique, *rest),
        missing=len(rest),
        repeated=len(known) - len(unique),
        unknown=len(named) - len(known),
    )


class Ranker:
    """Ranks passages against a query."""

    role = "ranker"

    def request(self, passages: Sequence[str], ctx: Context, *, max_tokens: int) -> Request:
        """Render the prompt; the query is the task's."""
        user = ctx.prompts["ranker"].render(
            passages="\n".join(f"[{number}] {passage}" for number, passage in enumerate(passages, 1)),
            count=len(passages),
            query=ctx.task.query or "",
            open=ctx.fence.open,
            close=ctx.fence.close,
        )
        return Request(
            messages=(Message(role="user", content=user),),
            role=self.role,
            inputs={"passages": tuple(passages), "query": ctx.task.query},
            max_tokens=max_tokens,
        )

    async def run(self, request: Request, ctx: Context) -> Permutation:
        """Send the request; a reply that names too few is asked for once more, and then taken as far as it goes.

        Raises:
            InvalidReply: refused, empty or cut off, twice.
        """
        n, calls = len(request.inputs["passages"]), 0

        async def counted(sent: Request) -> Reply:
            nonlocal calls
            calls += 1
            return await ctx.call(sent)

        said: Said = await ask(request, replace(ctx, call=counted), read=lambda reply: _ranking(reply, n), last=usable)
        return replace(permutation(said.text, n), asked_again=calls > 1)


def _ranking(reply: Reply, n: int) -> str:
    text = usable(reply)
    named = n - permutation(text, n).missing
    if named < _ENOUGH * n:
        raise UnfitReply(f"it named {named} of the {n} passages; write each of their numbers in square brackets once")
    return text
