"""What the writer of a section is told of the rest: a map, what its chapter has said, what others will say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from coa.retrieval.terms import SCRIPT_WITHOUT_BLANKS, word_count
from coa.runtime.prices import price_for
from coa.sentences import sentence_spans
from coa.serving.base import Model
from coa.writing.plan import Outline, Section

FULL_TOKENS = 3_500
"""A chapter's text of more tokens is not given in full, so that prompts stay below 8,000 tokens at any length."""

_LETTERS = SCRIPT_WITHOUT_BLANKS.pattern
_WORD = re.compile(rf"{_LETTERS}{_LETTERS}?|(?:(?!{_LETTERS})\S){{1,24}}")
"""A word; two characters where a script has no blanks; a part of what is longer than any word."""

_SHARE_OF_WINDOW = 0.4
_TOKENS_A_WORD = 1.4
_DEAR_TOKENS = 1_500
_SENTENCES = 2
_WORDS = 350
_TAIL_WORDS = 120
_OTHERS = 12
_MAP_LINES = 60
BRIEF_WORDS = 400
"""Words of the brief that each section is told."""


def memory_of(wanted: str, outline: Outline, model: Model, window: int, prices: tuple[float, float] | None) -> str:
    """``full`` or ``rolling``: ``auto`` gives the full text where it fits and reading it again and again is cheap.

    Cheap means that the model runs here, or that its provider takes less for what it has read before.
    """
    if wanted != "auto":
        return wanted
    longest = max(sum(leaf.words for leaf in leaves) for _, leaves in outline.chapters()) * _TOKENS_A_WORD
    price = price_for(model.name, prices)
    dear = price is None or (price.prompt > 0 and price.cached is None)
    return "full" if longest <= min(_SHARE_OF_WINDOW * window, _DEAR_TOKENS if dear else FULL_TOKENS) else "rolling"


def chapter_map(outline: Outline, chapter: Section | None) -> str:
    """All chapters by title, the own one with its sections."""
    lines: list[str] = []
    for section in outline.sections:
        lines.append(f"{section.id}. {section.title}")
        if chapter is not None and section.id == chapter.id:
            lines += [f"   {child.id}. {child.title}" for child in section.children]
    if len(lines) <= _MAP_LINES:
        return "\n".join(lines)
    return "\n".join([*lines[: _MAP_LINES // 2], "...", *lines[-_MAP_LINES // 2 :]])


def said_so_far(titles: Sequence[str], texts: Sequence[str], *, full: bool = False) -> str:
    """What sections have said: in full, or the first sentences of each, the latest kept, in a fixed number of words."""
    if full:
        return "\n\n".join(f"{title}:\n{text}" for title, text in zip(titles, texts, strict=True) if text)
    lines: list[str] = []
    room = _WORDS
    for title, text in reversed(list(zip(titles, texts, strict=True))):
        spans = list(sentence_spans(text))[:_SENTENCES]
        line = f"{title}: {' '.join(text[a:b] for a, b in spans)}"
        room -= word_count(line)
        if room < 0:
            break
        lines.append(line)
    return "\n".join(reversed(lines))


def last_words(text: str, words: int = _TAIL_WORDS) -> str:
    """The end of a text, to the letter."""
    found = list(_WORD.finditer(text))
    return text[found[-words].start() :].rstrip() if len(found) > words else text.strip()


def first_words(text: str, words: int = _TAIL_WORDS) -> str:
    """The beginning of a text, to the letter."""
    found = list(_WORD.finditer(text))
    return text[: found[words - 1].end()].lstrip() if len(found) > words else text.strip()


def brief_for_sections(brief: str) -> str:
    """The brief as each section is told it: a long one to a fixed length; the planner reads it whole."""
    shown = first_words(brief, BRIEF_WORDS)
    return brief if shown == brief.strip() else f"{shown} ..."


def points_of_others(leaves: Sequence[Section], leaf: Section) -> list[str]:
    """What the neighbours of a leaf will say, so that it does not."""
    return [point for other in leaves if other.id != leaf.id for point in other.key_points][:_OTHERS]
