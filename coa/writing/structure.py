"""How a text is built: one title, levels without gaps, no empty section, contents and headings as they should be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from coa.writing.finding import Finding
from coa.writing.markdown import headings, parts, unescaped
from coa.writing.plan import Outline, Section

_CONTENTS = re.compile(r"^## Contents\n+((?:\s*[-*] .*\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^\s*[-*] (?:\[(.*)\]\(.*\)|(.*?))\s*$", re.MULTILINE)


def structure(text: str, markdown: str, outline: Outline | None) -> Iterator[Finding]:
    """What is wrong with the headings of a text, given without its apparatus and with it."""
    found = headings(text)
    if sum(level == 1 for level, _ in found) != 1:
        yield Finding(check="structure", where="document", value="there must be one title")
    for (before, _), (level, title) in pairwise(found):
        if level > before + 1:
            yield Finding(check="structure", where=title, value=f"level {level} follows level {before}")
    if outline is not None and (planned := planned_headings(outline)) != found:
        missing = [title for _, title in planned if title not in {title for _, title in found}]
        yield Finding(
            check="structure", where="document", value=f"not as planned: {', '.join(missing) or 'other order'}"
        )
    contents = _CONTENTS.search(markdown)
    if contents and _entries(contents[1]) != [_plain(title) for level, title in found if 1 < level <= 3]:
        yield Finding(check="structure", where="Contents", value="not the headings of the text")
    every = parts(text)
    for index, part in enumerate(every):
        has_children = index + 1 < len(every) and every[index + 1].level > part.level
        if part.level > 1 and not part.body.strip() and not has_children:
            yield Finding(check="structure", where=part.title, value="the section is empty")


def planned_headings(outline: Outline) -> list[tuple[int, str]]:
    """Level and title of each heading that a plan makes, the title first."""
    rows: list[tuple[int, str]] = [(1, outline.title)]

    def add(sections: Sequence[Section], level: int) -> None:
        for section in sections:
            rows.append((level, section.title))
            add(section.children, level + 1)

    add(outline.sections, 2)
    return rows


def _entries(contents: str) -> list[str]:
    return [_plain(match[1] or match[2]) for match in _ENTRY.finditer(contents)]


def _plain(title: str) -> str:
    return " ".join(unescaped(title).split())
