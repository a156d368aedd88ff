"""The judge: which of several texts about one document is the best (arXiv 2406.02818, section 5.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from coa.agents.base import Context, ask, inputs_of
from coa.agents.replies import usable
from coa.errors import UnfitReply
from coa.serving.base import Message, Reply, Request
from coa.types import Citation

REPLY_TOKENS = 256
"""Room for a letter and for whatever a model says around it."""

MOST_CANDIDATES = len(ascii_uppercase)
_PREFIX = r"(?:(?:the )?(?:best|answer|choice|text|candidate)(?: is)?\W+)?"
_LETTER = re.compile(rf"^\W*{_PREFIX}([A-Z])\b(?!['’])", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A text and what it cites."""

    text: str
    citations: tuple[Citation, ...]


class Judge:
    """Reads several candidates and names one of them."""

    role = "judge"

    def request(self, candidates: Sequence[Candidate], ctx: Context) -> Request:
        """Render the prompt for at most 26 candidates."""
        fence, task = ctx.fence, ctx.task
        shown = "\n\n".join(map(_shown, ascii_uppercase, candidates))
        name = {"verify": "judge_verify", "complete": "judge_code", "summary": "judge_summary"}.get(
            task.kind, "judge_query"
        )
        asked = {"focus" if name == "judge_summary" else "query": task.query}
        prompt = ctx.prompts[name].render(candidates=shown, open=fence.open, close=fence.close, **asked)
        return Request(
            messages=(Message(role="user", content=prompt),),
            role=self.role,
            inputs={"cited": tuple(len(each.citations) for each in candidates), **inputs_of(task)},
            max_tokens=REPLY_TOKENS,
        )

    async def run(self, request: Request, ctx: Context) -> int:
        """Send the request; the index of the candidate that was named.

        Raises:
            InvalidReply: none was, twice.
        """
        count = len(request.inputs["cited"])
        said = await ask(request, ctx, read=lambda reply: _letter(reply, count))
        return ascii_uppercase.index(said.text)


def _shown(letter: str, candidate: Candidate) -> str:
    cited = "\n".join(f"  [{each.marker}] {' '.join(each.quote.split())}" for each in candidate.citations)
    return f"{letter}.\n{candidate.text}" + (f"\nCited words of {letter}:\n{cited}" if cited else "")


def _letter(reply: Reply, count: int) -> str:
    match = _LETTER.match(usable(reply))
    if match is None or match[1].upper() not in ascii_uppercase[:count]:
        raise UnfitReply(f"it did not begin with one of the letters A to {ascii_uppercase[count - 1]}")
    return match[1].upper()
