"""The author: plans top down, writes chapters side by side and their leaves in turn, joins them under headings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from coa.agents.fence import Fence
from coa.agents.manager import quote_line
from coa.errors import InvalidReply, MalformedReply
from coa.prompts import Prompts
from coa.retrieval.terms import word_count
from coa.runtime.together import together
from coa.sentences import sentence_spans
from coa.serving.base import Message, Request
from coa.types import Evidence
from coa.writing.allocate import MOST_WORDS, leaf_count
from coa.writing.draft import Call, write_leaf
from coa.writing.outlining import Line, fitted, lines_in, owned_once, sections_of, title_in
from coa.writing.plan import Outline, Section

LEAVES_A_CHAPTER = 8
RE_ASKS = 2
OUTLINE_TOKENS = 4_000
_MEMORY_SENTENCES = 2
_MEMORY_WORDS = 350
_TAIL_WORDS = 120
_OTHERS = 12

FindEvidence = Callable[[Section], Sequence[Evidence]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A leaf as it stands in the document."""

    section: Section
    text: str
    evidence: tuple[Evidence, ...] = ()
    problem: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Plans and writes through one door to the model.

    Prompts depend on the plan and on the own chapter alone, so that chapters can be written in any order, side by
    side, and a resumed run sends the same requests.

    Attributes:
        evidence: Finds the passages for a leaf; None writes without sources.
        parallel: Chapters in the making at once.
        done: Called after each leaf.
    """

    call: Call
    prompts: Prompts
    fence: Fence
    style: str = ""
    parallel: int = 1
    evidence: FindEvidence | None = None
    done: Callable[[], None] = field(default=lambda: None)

    async def plan(self, brief: str, words: int) -> Outline:
        """An outline whose budgets sum to ``words``.

        Raises:
            MalformedReply: the model gave no outline, three times.
        """
        count = leaf_count(words)
        chapters = max(1, round(count / LEAVES_A_CHAPTER)) if count > LEAVES_A_CHAPTER else count
        reply, lines = await self._lines(brief, words, chapters, "section" if chapters == count else "chapter")
        lines = fitted(lines, chapters)
        taken: set[str] = set()
        title = title_in(reply) or brief.strip().splitlines()[0][:80]
        if chapters == count:
            sections = owned_once(sections_of(lines, words, [1] * count), taken)
        else:
            leaves = [count // chapters + (i < count % chapters) for i in range(chapters)]
            parents = [s.model_copy(update={"key_points": []}) for s in sections_of(lines, words, leaves)]
            listed = "\n".join(f"{parent.id}. {parent.title}: {parent.goal}" for parent in parents)
            expanded = await together(self._expanded(brief, parent, listed) for parent in parents)
            sections = [
                parent.model_copy(update={"children": owned_once(children, taken)})
                for parent, children in zip(parents, expanded, strict=True)
            ]
        return Outline(title=title, brief=brief, words=words, style=self.style, sections=sections)

    async def write(self, outline: Outline) -> list[Written]:
        """Every leaf in reading order; one that the model would not write has a ``problem`` and no text."""
        gate = asyncio.Semaphore(self.parallel)
        done = {section.id: asyncio.Event() for section in outline.sections}
        chapters = outline.sections if any(s.children for s in outline.sections) else _as_one(outline)

        async def chapter(section: Section) -> list[Written]:
            for other in section.depends_on:
                await done[other].wait()
            async with gate:
                leaves = await self._chapter(outline, section)
            if section.id in done:
                done[section.id].set()
            return leaves

        written = await together(chapter(section) for section in chapters)
        return [leaf for leaves in written for leaf in leaves]

    async def _expanded(self, brief: str, parent: Section, chapters: str) -> list[Section]:
        count = leaf_count(parent.words)
        _, lines = await self._lines(brief, parent.words, count, "section", chapters, parent)
        return sections_of(fitted(lines, count), parent.words, [1] * count, prefix=f"{parent.id}.")

    async def _lines(
        self, brief: str, words: int, count: int, unit: str, chapters: str = "", chapter: Section | None = None
    ) -> tuple[str, list[Line]]:
        problem = ""
        for attempt in range(1 + RE_ASKS):
            prompt = self.prompts["write_outline"].render(
                brief=brief,
                words=words,
                count=count,
                unit=unit,
                chapters=chapters,
                chapter=chapter.title if chapter else "",
                goal=chapter.goal if chapter else "",
                style=self.style,
                problem=problem,
            )
            request = Request(
                messages=(Message(role="user", content=prompt),),
                role="planner",
                inputs={"count": count, "unit": unit, "chapter": chapter.title if chapter else ""},
                max_tokens=min(OUTLINE_TOKENS, 400 + 80 * count),
                sample=attempt,
            )
            reply = (await self.call(request)).text
            if lines := lines_in(reply):
                return reply, lines
            problem = "no line of it had the form asked for"
        raise MalformedReply(f"the model gave no outline in {1 + RE_ASKS} attempts")

    async def _chapter(self, outline: Outline, chapter: Section) -> list[Written]:
        """The leaves in turn: each knows what its chapter said; words missing or too many go to those to come."""
        leaves = list(chapter.leaves())
        written: list[Written] = []
        bias, owed = 1.0, 0
        for index, leaf in enumerate(leaves):
            target = _target(leaf.words, owed, sum(each.words for each in leaves[index:]))
            result, ratio = await self._leaf(outline, chapter, leaf, target, bias, written)
            owed += leaf.words - word_count(result.text)
            bias = min(1.6, max(0.4, 0.3 * bias + 0.7 * ratio if index == 0 else 0.7 * bias + 0.3 * ratio))
            written.append(result)
            self.done()
        return written

    async def _leaf(
        self, outline: Outline, chapter: Section, leaf: Section, target: int, bias: float, written: Sequence[Written]
    ) -> tuple[Written, float]:
        evidence = tuple(self.evidence(leaf)) if self.evidence else ()
        before = [each.text for each in written]

        def render(words: int, so_far: str, avoid: str) -> str:
            return self.prompts["write_section"].render(
                title=outline.title,
                brief=outline.brief,
                style=outline.style,
                outline=_map(outline, chapter),
                memory=_memory(written),
                tail=_last_words(before[-1] if before else ""),
                evidence="\n".join(quote_line(item) for item in evidence),
                section=leaf.title,
                goal=leaf.goal,
                points="; ".join(leaf.key_points),
                others="; ".join(_points_of_others(chapter, leaf)),
                words=words,
                written=_last_words(so_far, MOST_WORDS),
                avoid=avoid,
                open=self.fence.open,
                close=self.fence.close,
            )

        offline: dict[str, object] = {"evidence": evidence, "section": leaf}
        try:
            draft = await write_leaf(
                self.call, render, target, bias=bias, title=leaf.title, before=before, offline=offline
            )
        except InvalidReply as error:
            return Written(section=leaf, text="", evidence=evidence, problem=f"{error.code}: {error.message}"), bias
        return Written(section=leaf, text=draft.text, evidence=evidence, warnings=draft.warnings), draft.ratio


def joined(outline: Outline, written: Sequence[Written]) -> str:
    """The document in Markdown: headings come from the plan, never from the model."""
    texts = {leaf.section.id: leaf.text for leaf in written}
    lines = [f"# {outline.title}"]

    def add(section: Section, level: int) -> None:
        if not any(texts.get(leaf.id) for leaf in section.leaves()):
            return
        lines.append(f"{'#' * level} {section.title}")
        if not section.children:
            lines.append(texts[section.id])
        for child in section.children:
            add(child, level + 1)

    for section in outline.sections:
        add(section, 2)
    return "\n\n".join(lines) + "\n"


def _as_one(outline: Outline) -> list[Section]:
    """Short documents have no chapters: all leaves are written in turn."""
    return [Section(id="all", title=outline.title, words=outline.words, children=outline.sections)]


def _target(words: int, owed: int, ahead: int) -> int:
    """The leaf's share of what is still to be written."""
    share = words * (ahead + owed) / max(1, ahead)
    return round(min(1.5 * words, max(0.6 * words, share)))


def _map(outline: Outline, chapter: Section) -> str:
    """All chapters by title, the own one with its sections."""
    lines: list[str] = []
    for section in outline.sections:
        lines.append(f"{section.id}. {section.title}")
        if section.id == chapter.id:
            lines += [f"   {child.id}. {child.title}" for child in section.children]
    return "\n".join(lines[:60])


def _memory(written: Sequence[Written]) -> str:
    """The first sentences of each section so far, the latest in full length, no more than a fixed number of words."""
    lines: list[str] = []
    room = _MEMORY_WORDS
    for each in reversed(written):
        spans = list(sentence_spans(each.text))[:_MEMORY_SENTENCES]
        line = f"{each.section.title}: {' '.join(each.text[a:b] for a, b in spans)}"
        room -= word_count(line)
        if room < 0:
            break
        lines.append(line)
    return "\n".join(reversed(lines))


def _last_words(text: str, words: int = _TAIL_WORDS) -> str:
    return " ".join(text.split()[-words:])


def _points_of_others(chapter: Section, leaf: Section) -> list[str]:
    return [point for other in chapter.leaves() if other.id != leaf.id for point in other.key_points][:_OTHERS]
