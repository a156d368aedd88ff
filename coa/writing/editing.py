"""The last look: seams between chapters and figures that differ, mended by small edits that are checked by code.

Nothing is rewritten as a whole: an edit names words that must stand in its section exactly once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, cast

from coa.agents.fence import Fence
from coa.agents.quotes import markers_in
from coa.agents.replies import usable
from coa.errors import InvalidReply, WindowTooSmall
from coa.prompts import Prompt, Prompts
from coa.runtime.together import together
from coa.serving.base import Message, Request
from coa.writing.author import Written
from coa.writing.draft import Call
from coa.writing.ledger import Conflict, conflicts_in
from coa.writing.memory import chapter_map, first_words, last_words
from coa.writing.plan import Outline
from coa.writing.room import Room

CONFLICTS_A_CALL = 8
_SEAM_WORDS = 150
_SHORTEST, _LONGEST = 8, 1_200
_GROWTH = 400
_TOKENS = 800
_YIELDS = {"write_seam": ("outline", "left_text", "right_text"), "write_conflicts": ("conflicts",)}
"""Inputs of each prompt that give way where it is too long, the first one first."""

_ARRAY = re.compile(r"\[.*\]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Words of a section, and the words to put in their place."""

    section: str
    find: str
    replace: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The leaves after the edits; which were made, how many were not fit to be made."""

    written: list[Written]
    made: tuple[Edit, ...] = ()
    refused: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Editor:
    """Asks for edits and makes those that stand the test.

    Attributes:
        room: How large a prompt may be; what is cut of one, and what fits into none, is told in the warnings.
        parallel: Calls at once.
        also: Ids of leaves whose own seams are looked over too: those that were written anew.
    """

    call: Call
    prompts: Prompts
    fence: Fence
    room: Room
    parallel: int = 1
    also: frozenset[str] = field(default_factory=frozenset[str])

    async def edit(self, outline: Outline, written: list[Written]) -> Edited:
        """The text with its seams and its contradictions mended."""
        conflicts = conflicts_in((leaf.section.id, leaf.text) for leaf in written)
        batches = [conflicts[i : i + CONFLICTS_A_CALL] for i in range(0, len(conflicts), CONFLICTS_A_CALL)]
        wanted = [("write_seam", self._seam(outline, *pair)) for pair in self._seams(outline, written)]
        wanted += [("write_conflicts", self._conflicts(outline, batch)) for batch in batches]
        requests, warnings = self._requests(wanted)
        edits = await self._asked(requests)
        edited = applied(written, edits, self.fence.tag)
        return replace(edited, warnings=(*warnings, *_told(edited)))

    def _requests(self, wanted: Sequence[tuple[str, Mapping[str, object]]]) -> tuple[list[Request], list[str]]:
        """The requests that fit into the window, and what was left out of them or altogether."""
        requests: list[Request] = []
        cut = 0
        for name, inputs in wanted:
            template = self.prompts[name]
            try:
                prompt, left = self.room.shortened(partial(_rendered, template), inputs, _TOKENS, _YIELDS[name])
            except WindowTooSmall:
                continue
            requests.append(
                Request(messages=(Message(role="user", content=prompt),), role="editor", max_tokens=_TOKENS)
            )
            cut += bool(left)
        missing = len(wanted) - len(requests)
        warnings = [f"{cut} prompts of the last look were cut to fit into the window"] if cut else []
        warnings += [f"{missing} seams or contradictions do not fit into the window: not looked at"] if missing else []
        return requests, warnings

    def _seams(self, outline: Outline, written: Sequence[Written]) -> list[tuple[Written, Written]]:
        """Neighbours that did not know each other: across chapters, and around what was written anew."""
        home = {leaf.id: number for number, (_, leaves) in enumerate(outline.chapters()) for leaf in leaves}
        there = [leaf for leaf in written if leaf.text]
        return [
            (left, right)
            for left, right in pairwise(there)
            if home[left.section.id] != home[right.section.id] or {left.section.id, right.section.id} & self.also
        ]

    def _seam(self, outline: Outline, left: Written, right: Written) -> dict[str, object]:
        return {
            "title": outline.title,
            "outline": chapter_map(outline, None),
            "left": left.section.id,
            "left_title": left.section.title,
            "left_text": last_words(left.text, _SEAM_WORDS),
            "right": right.section.id,
            "right_title": right.section.title,
            "right_text": first_words(right.text, _SEAM_WORDS),
        }

    def _conflicts(self, outline: Outline, conflicts: Sequence[Conflict]) -> dict[str, object]:
        listed = "\n\n".join(
            "\n".join(f"({fact.section}) {fact.sentence}" for fact in conflict.facts[:4]) for conflict in conflicts
        )
        return {"title": outline.title, "conflicts": listed}

    async def _asked(self, requests: Sequence[Request]) -> list[Edit]:
        gate = asyncio.Semaphore(self.parallel)

        async def one(request: Request) -> list[Edit]:
            async with gate:
                reply = await self.call(request)
            try:
                return edits_in(usable(reply))
            except InvalidReply:
                return []

        return [edit for edits in await together(one(request) for request in requests) for edit in edits]


def edits_in(reply: str) -> list[Edit]:
    """The edits of a reply; whatever is no edit is passed over."""
    match = _ARRAY.search(reply)
    try:
        data: object = json.loads(match[0]) if match else []
    except (ValueError, RecursionError):
        return []
    entries = cast("list[Any]", data) if isinstance(data, list) else []
    found = [_edit(cast("Mapping[str, Any]", entry)) for entry in entries if isinstance(entry, dict)]
    return [edit for edit in found if edit is not None]


def applied(written: Sequence[Written], edits: Sequence[Edit], tag: str) -> Edited:
    """Make the edits whose words stand in their section exactly once; the others are counted."""
    texts = {leaf.section.id: leaf.text for leaf in written}
    made: list[Edit] = []
    for edit in edits:
        text = texts.get(edit.section, "")
        if _fit(edit, text, tag):
            texts[edit.section] = text.replace(edit.find, edit.replace)
            made.append(edit)
    leaves = [_with(leaf, texts[leaf.section.id]) for leaf in written]
    return Edited(written=leaves, made=tuple(made), refused=len(edits) - len(made))


def _fit(edit: Edit, text: str, tag: str) -> bool:
    """Whether it is small, its words stand there once, and it neither adds a mark nor a heading nor takes all away."""
    if not _SHORTEST <= len(edit.find) <= _LONGEST or text.count(edit.find) != 1 or edit.find == edit.replace:
        return False
    if len(edit.replace) > len(edit.find) + _GROWTH or re.search(r"^#", edit.replace, re.MULTILINE):
        return False
    if sorted(markers_in(edit.find, tag)) != sorted(markers_in(edit.replace, tag)):
        return False
    return bool(text.replace(edit.find, edit.replace).strip())


def _edit(entry: Mapping[str, Any]) -> Edit | None:
    values = [entry.get(name) for name in ("section", "find", "replace")]
    if not all(isinstance(value, str) for value in values):
        return None
    reason = entry.get("reason")
    section, find, put = cast("list[str]", values)
    return Edit(section=section, find=find, replace=put, reason=reason if isinstance(reason, str) else "")


def _rendered(template: Prompt, inputs: Mapping[str, object]) -> str:
    return template.render(**inputs)


def _told(edited: Edited) -> Iterator[str]:
    if edited.made:
        yield f"{len(edited.made)} small edits were made to seams and contradictions"
    if edited.refused:
        yield f"{edited.refused} edits of the model were not made: their words stood there not once"


def _with(leaf: Written, text: str) -> Written:
    return leaf if leaf.text == text else replace(leaf, text=text)
