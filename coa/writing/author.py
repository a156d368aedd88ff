"""The author: writes chapters side by side and their leaves in turn, and joins them under headings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from coa.agents.fence import Fence
from coa.agents.manager import quote_line
from coa.errors import InvalidReply
from coa.prompts import Prompts
from coa.retrieval.terms import word_count
from coa.runtime.together import together
from coa.types import Evidence
from coa.writing import memory as told
from coa.writing.allocate import MOST_WORDS
from coa.writing.draft import Call, Wanted, bounds_of, reply_tokens, write_leaf
from coa.writing.plan import Outline, Section
from coa.writing.redo import Redo
from coa.writing.room import Room
from coa.writing.schedule import Places, urgency

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
class _Place:
    """Where a leaf stands, and what is known around it."""

    outline: Outline
    chapter: Section | None
    leaves: Sequence[Section]
    written: Mapping[str, Written]
    base: Sequence[Written] = ()

    def before(self, leaf: Section) -> list[Written]:
        """What was written of the own chapter, in reading order, apart from the leaf itself."""
        return [self.written[each.id] for each in self.leaves if each.id in self.written and each.id != leaf.id]

    def beside(self, leaf: Section, step: int) -> str:
        """The text just before (-1) or just after (1) the leaf, where it is written."""
        at = [each.id for each in self.leaves].index(leaf.id) + step
        found = self.written.get(self.leaves[at].id) if 0 <= at < len(self.leaves) else None
        return found.text if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Desk:
    """What the chapters share: the places, what is finished, and who waits for it."""

    outline: Outline
    places: Places
    builds_on: Mapping[str, Sequence[str]]
    written: dict[str, Written] = field(default_factory=dict[str, Written])
    awaited: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    async def ready(self, leaf: Section, urgency: int, *, holding: bool) -> bool:
        """Wait until a leaf can be written, without a place in the meantime; then hold one."""
        missing = [name for name in self.builds_on[leaf.id] if name not in self.written]
        if missing and holding:
            self.places.give()
        for name in missing:
            await self.awaited.setdefault(name, asyncio.Event()).wait()
        if missing or not holding:
            await self.places.take(urgency)
        return True

    def put(self, leaf: Written) -> None:
        """A leaf is finished."""
        self.written[leaf.section.id] = leaf
        self.awaited.setdefault(leaf.section.id, asyncio.Event()).set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Writes through one door to the model.

    Prompts depend on the plan, on the own chapter and on those that it builds on, so that chapters can be written in
    any order, side by side, and a resumed run sends the same requests.

    Attributes:
        room: How large a prompt may be.
        parallel: Chapters in the making at once.
        language: The code of the language that replies must be in; None where nobody knows.
        full: Whether a leaf is told its chapter's whole text, or the first sentences of each section.
        evidence: Finds the passages for a leaf; None writes without sources.
        started: Called with each leaf that is begun.
        done: Called with each leaf that is finished.
    """

    call: Call
    prompts: Prompts
    fence: Fence
    room: Room
    parallel: int = 1
    language: str | None = None
    full: bool = False
    evidence: FindEvidence | None = None
    started: Callable[[Section], None] = field(default=lambda _: None)
    done: Callable[[Written], None] = field(default=lambda _: None)

    async def write(self, outline: Outline) -> list[Written]:
        """Every leaf in reading order; one that the model would not write has a ``problem`` and no text."""
        groups, waits = outline.chapters(), outline.waits()
        words = [sum(leaf.words for leaf in leaves) for _, leaves in groups]
        desk = _Desk(outline=outline, places=Places(self.parallel), builds_on=outline.builds_on())
        first = urgency(words, waits) if self.parallel > 1 else [0] * len(groups)
        found = await together(self._chapter(desk, *group, first[i]) for i, group in enumerate(groups))
        return [leaf for leaves in found for leaf in leaves]

    async def again(self, outline: Outline, written: Sequence[Written], wish: Redo, number: int) -> list[Written]:
        """The same document with one leaf written anew, the ``number``-th such wish; all others stay as they are."""
        texts = {each.section.id: each for each in written}
        old = texts[wish.section]
        chapter, leaves = next(group for group in outline.chapters() if old.section in group[1])
        base = [texts[name] for name in outline.builds_on()[wish.section]]
        place = _Place(outline=outline, chapter=chapter, leaves=leaves, written=texts, base=base)
        self.started(old.section)
        new, _ = await self._leaf(place, old.section, old.section.words, 1.0, wish, number)
        self.done(new)
        return [new if each is old else each for each in written]

    async def _chapter(
        self, desk: _Desk, chapter: Section | None, leaves: Sequence[Section], urgency: int
    ) -> list[Written]:
        """The leaves in turn: each knows what its chapter said; words missing or too many go to those to come."""
        written: dict[str, Written] = {}
        place = _Place(outline=desk.outline, chapter=chapter, leaves=leaves, written=written)
        bias, owed, holding = 1.0, 0, False
        whole = ahead = sum(leaf.words for leaf in leaves)
        for index, leaf in enumerate(_in_turn(leaves)):
            holding = await desk.ready(leaf, urgency, holding=holding)
            self.started(leaf)
            target = _target(leaf.words, owed, ahead)
            bounds = bounds_of(target, whole if index == len(leaves) - 1 else None)
            base = [desk.written[name] for name in desk.builds_on[leaf.id]]
            result, ratio = await self._leaf(replace(place, base=base), leaf, target, bias, bounds=bounds)
            ahead -= leaf.words
            owed += leaf.words - word_count(result.text)
            bias = min(1.6, max(0.4, 0.3 * bias + 0.7 * ratio if index == 0 else 0.7 * bias + 0.3 * ratio))
            written[leaf.id] = result
            desk.put(result)
            self.done(result)
        desk.places.give()
        return [written[leaf.id] for leaf in leaves]

    async def _leaf(
        self,
        place: _Place,
        leaf: Section,
        target: int,
        bias: float,
        wish: Redo | None = None,
        number: int = 0,
        *,
        bounds: tuple[int, int] | None = None,
    ) -> tuple[Written, float]:
        evidence = tuple(self.evidence(leaf)) if self.evidence else ()
        before = place.before(leaf)
        fixed = self._fixed(place, leaf, evidence, wish)

        def render(words: int, so_far: str, avoid: str) -> str:
            inputs = {**fixed, "words": words, "written": told.last_words(so_far, MOST_WORDS), "avoid": avoid}
            prompt = self.prompts["write_section"]
            return self.room.fitted(lambda given: prompt.render(**given), inputs, reply_tokens(words))

        wanted = Wanted(
            title=leaf.title,
            target=target,
            bias=bias,
            bounds=bounds or bounds_of(target, target),
            before=tuple(each.text for each in before),
            language=self.language,
            must=tuple(leaf.must_mention),
            never=tuple(leaf.never_mention),
            offline={"evidence": evidence, "section": leaf},
            sample=2 * number,
        )
        try:
            draft = await write_leaf(self.call, render, wanted)
        except InvalidReply as error:
            return Written(section=leaf, text="", evidence=evidence, problem=f"{error.code}: {error.message}"), bias
        return Written(section=leaf, text=draft.text, evidence=evidence, warnings=draft.warnings), draft.ratio

    def _fixed(
        self, place: _Place, leaf: Section, evidence: Sequence[Evidence], wish: Redo | None
    ) -> dict[str, object]:
        """The inputs of a section's prompt that stay the same while it is written."""
        outline, before = place.outline, place.before(leaf)
        own = told.said_so_far([e.section.title for e in before], [e.text for e in before], full=self.full)
        base = told.said_so_far([e.section.title for e in place.base], [e.text for e in place.base])
        return {
            "title": outline.title,
            "brief": told.brief_for_sections(outline.brief),
            "style": outline.style,
            "language": outline.language,
            "outline": told.chapter_map(outline, place.chapter),
            "base": base,
            "memory": own,
            "tail": "" if self.full else told.last_words(place.beside(leaf, -1)),
            "after": told.first_words(place.beside(leaf, 1)),
            "evidence": "\n".join(quote_line(item) for item in evidence),
            "bare": "nothing" if self.evidence is not None and not evidence else "",
            "section": leaf.title,
            "goal": leaf.goal,
            "points": "; ".join(leaf.key_points),
            "must": "; ".join(leaf.must_mention),
            "never": "; ".join(leaf.never_mention),
            "others": "; ".join(told.points_of_others(place.leaves, leaf)),
            "old": place.written[leaf.id].text if wish else "",
            "note": wish.note if wish else "",
            "open": self.fence.open,
            "close": self.fence.close,
        }


def joined(outline: Outline, written: Sequence[Written]) -> str:
    """The document in Markdown: headings come from the plan, never from the model."""
    texts = {leaf.section.id: leaf.text for leaf in written}
    lines = [f"# {outline.title}"]

    def add(section: Section, level: int) -> None:
        if not any(texts.get(leaf.id) for leaf in section.leaves()):
            return
        lines.append(f"{'#' * min(6, level)} {section.title}")
        if not section.children:
            lines.append(texts[section.id])
        for child in section.children:
            add(child, level + 1)

    for section in outline.sections:
        add(section, 2)
    return "\n\n".join(lines) + "\n"


def _in_turn(leaves: Sequence[Section]) -> list[Section]:
    """The leaves of a chapter in the order in which they are written: reading order, but for what depends on others."""
    left, order = list(leaves), list[Section]()
    ids = {leaf.id for leaf in leaves}
    while left:
        ready = {leaf.id for leaf in order}
        following = next((leaf for leaf in left if not (set(leaf.depends_on) & ids) - ready), left[0])
        order.append(following)
        left.remove(following)
    return order


def _target(words: int, owed: int, ahead: int) -> int:
    """The leaf's share of what is still to be written; ``ahead`` are the planned words of it and those after it."""
    share = words * (ahead + owed) / max(1, ahead)
    return round(min(1.5 * words, max(0.6 * words, share)))
