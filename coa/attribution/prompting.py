"""Prompts that show some of the segments: a plain one of our own, and one that was really sent, with parts cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from coa.agents.fence import Fence
from coa.attribution.base import Coalition, Segment
from coa.prompts import Prompts
from coa.serving.base import Message

Ranges = tuple[tuple[int, int], ...]


class Prompting(Protocol):
    """Shows a coalition of segments to a model, always in document order."""

    def messages(self, coalition: Coalition) -> tuple[Message, ...]:
        """The prompt up to the answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPrompting:
    """The question over some of the sentences: how a model *would* answer if it read them directly."""

    segments: Sequence[Segment]
    question: str
    fence: Fence
    prompts: Prompts

    def messages(self, coalition: Coalition) -> tuple[Message, ...]:
        """One message, from ``coa/prompts/trace_answer.md``."""
        content = self.prompts["trace_answer"].render(
            texts="\n".join(self.segments[i].text for i in sorted(coalition)) or "(nothing)",
            question=self.question,
            open=self.fence.open,
            close=self.fence.close,
        )
        return (Message(role="user", content=content),)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPrompting:
    """A prompt that was really sent. With all pieces shown it is that prompt to the letter.

    Attributes:
        sent: The messages; pieces stand in the last one.
        ranges: For each piece, the stretches of the last message that leave with it; none overlap.
    """

    sent: tuple[Message, ...]
    ranges: Sequence[Ranges]

    def messages(self, coalition: Coalition) -> tuple[Message, ...]:
        """The messages without the pieces that are not in the coalition."""
        *head, last = self.sent
        out = sorted(each for index, ranges in enumerate(self.ranges) if index not in coalition for each in ranges)
        kept: list[str] = []
        at = 0
        for start, end in out:
            kept.append(last.content[at:start])
            at = end
        kept.append(last.content[at:])
        return (*head, replace(last, content="".join(kept)))
