"""The planner: chapters first, then the sections of each, with budgets that sum to the target."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from coa.errors import MalformedReply
from coa.prompts import Prompts
from coa.retrieval.terms import word_count
from coa.runtime.together import together
from coa.serving.base import Message, Request
from coa.writing.allocate import LEAST_WORDS, MOST_WORDS, leaf_count
from coa.writing.draft import Call
from coa.writing.outlining import Line, fitted, lines_in, owned_once, sections_of, title_in
from coa.writing.plan import LEAVES_A_CHAPTER, Outline, Section
from coa.writing.room import Room

RE_ASKS = 2
OUTLINE_TOKENS = 4_000


def chapter_count(leaves: int) -> int:
    """How many chapters so many leaves make; as many as leaves where the text needs none."""
    return max(1, round(leaves / LEAVES_A_CHAPTER)) if leaves > LEAVES_A_CHAPTER else leaves


def shape(words: int) -> tuple[int, int]:
    """How many leaves and how many chapters: chapters of the same number of leaves where the budgets allow it.

    Chapters are written side by side: the longest one is what the others wait for.
    """
    leaves = leaf_count(words)
    chapters = chapter_count(leaves)
    even = round(leaves / chapters) * chapters
    return (even if math.ceil(words / MOST_WORDS) <= even <= words // LEAST_WORDS else leaves), chapters


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """Asks for an outline, one call for the chapters and one for each of them.

    Attributes:
        room: How large a prompt may be; a brief or a list of chapters that is too long for it is cut, the longer first.
        parallel: Chapters in planning at once.
    """

    call: Call
    prompts: Prompts
    room: Room
    style: str = ""
    language: str = ""
    parallel: int = 1
    _cut: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]], init=False)

    @property
    def warnings(self) -> list[str]:
        """What was cut, and to how many words at the least."""
        names = {"brief": "brief", "chapters": "list of chapters"}
        return [
            f"the {names[name]} is too long for the planner: it was told the first {told:,} of {all_of_it:,} words"
            for name, (told, all_of_it) in self._cut.items()
        ]

    async def plan(self, brief: str, words: int) -> Outline:
        """An outline whose budgets sum to ``words``.

        Raises:
            MalformedReply: the model gave no outline, three times.
            WindowTooSmall: the window holds no prompt, however short the brief.
        """
        count, chapters = shape(words)
        reply, lines = await self._lines(brief, words, chapters, "section" if chapters == count else "chapter")
        lines = fitted(lines, chapters)
        title = title_in(reply) or brief.strip().splitlines()[0][:80]
        if chapters == count:
            sections = owned_once(sections_of(lines, words, [1] * count), set())
        else:
            leaves = [count // chapters + (i < count % chapters) for i in range(chapters)]
            sections = await self._with_children(brief, sections_of(lines, words, leaves), leaves)
        return Outline(
            title=title, brief=brief, words=words, style=self.style, language=self.language, sections=sections
        )

    async def _with_children(self, brief: str, chapters: list[Section], leaves: list[int]) -> list[Section]:
        parents = [chapter.model_copy(update={"key_points": []}) for chapter in chapters]
        listed = "\n".join(f"{parent.id}. {parent.title}: {parent.goal}" for parent in parents)
        gate = asyncio.Semaphore(self.parallel)

        async def expanded(parent: Section, count: int) -> list[Section]:
            async with gate:
                _, lines = await self._lines(brief, parent.words, count, "section", listed, parent)
            return sections_of(fitted(lines, count), parent.words, [1] * count, prefix=f"{parent.id}.")

        found = await together(expanded(parent, count) for parent, count in zip(parents, leaves, strict=True))
        taken: set[str] = set()
        return [
            parent.model_copy(update={"children": owned_once(children, taken)})
            for parent, children in zip(parents, found, strict=True)
        ]

    async def _lines(
        self, brief: str, words: int, count: int, unit: str, chapters: str = "", chapter: Section | None = None
    ) -> tuple[str, list[Line]]:
        problem = ""
        for attempt in range(1 + RE_ASKS):
            inputs: dict[str, object] = {
                "brief": brief,
                "words": words,
                "count": count,
                "unit": unit,
                "chapters": chapters,
                "chapter": chapter.title if chapter else "",
                "goal": chapter.goal if chapter else "",
                "style": self.style,
                "language": self.language,
                "problem": problem,
            }
            reply_tokens = min(OUTLINE_TOKENS, 400 + 80 * count)
            prompt = self._prompt(inputs, reply_tokens)
            request = Request(
                messages=(Message(role="user", content=prompt),),
                role="planner",
                inputs={"count": count, "unit": unit, "chapter": chapter.title if chapter else ""},
                max_tokens=reply_tokens,
                sample=attempt,
            )
            reply = (await self.call(request)).text
            if lines := lines_in(reply):
                return reply, lines
            problem = "no line of it had the form asked for"
        raise MalformedReply(f"the model gave no outline in {1 + RE_ASKS} attempts")

    def _prompt(self, inputs: Mapping[str, object], reply_tokens: int) -> str:
        yielding = sorted(["brief", "chapters"], key=lambda name: -len(str(inputs[name])))
        template = self.prompts["write_outline"]
        prompt, left = self.room.shortened(lambda given: template.render(**given), inputs, reply_tokens, yielding)
        for name, kept in left.items():
            told = (word_count(kept), word_count(str(inputs[name])))
            self._cut[name] = min(told, self._cut.get(name, told))
        return prompt
