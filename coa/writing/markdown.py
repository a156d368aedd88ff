"""A Markdown text as its checks and its exports see it: headings, parts, prose, notes, and faults of form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r"^(#{1,6}) +(.+?) *#* *$", re.MULTILINE)
_FENCE = re.compile(r"^(```+|~~~+).*?^\1 *$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^\|.*\|? *$", re.MULTILINE)
_RULER = re.compile(r"^\|?[\s:|-]+\|?$")
NOTE_BODY = re.compile(r"^\[\^([^\]]+)\]:(.*(?:\n(?: {4}|\t).*)*)\n?", re.MULTILINE)
"""A footnote: its name, and what it says."""

_NOTE_MARK = re.compile(r"\[\^([^\]\s]+)\](?!:)")
_NOTE_NAME = re.compile(r"^\[\^([^\]\s]+)\]:", re.MULTILINE)
_LINK = re.compile(r"\[([^\[\]^\n]+)\]\[([^\[\]^\n]*)\]")
_LINK_NAME = re.compile(r"^ {0,3}\[([^\]^]+)\]:", re.MULTILINE)
_LINK_BODY = re.compile(r"^ {0,3}\[[^\]^]+\]:[ \t].*\n?", re.MULTILINE)
_ESCAPE = re.compile(r"\\(?=[\W_])")
_CODE = re.compile(r"(`+)[^`\n]+\1")
CONTENTS = re.compile(r"^## Contents\n+(?:\s*[-*] .*\n)+\n?", re.MULTILINE)
REFERENCES = "\n## References\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What stands between a heading and the next one."""

    title: str
    level: int
    body: str


def without_apparatus(markdown: str) -> str:
    """Without contents, notes, references and the targets of links: they are no text and no copies in it."""
    return _LINK_BODY.sub("", NOTE_BODY.sub("", CONTENTS.sub("", markdown.partition(REFERENCES)[0])))


def headings(text: str) -> list[tuple[int, str]]:
    """Level and title of each heading outside of code."""
    return [(len(match[1]), match[2]) for match in _HEADING.finditer(_FENCE.sub("", text))]


def parts(text: str) -> list[Part]:
    """The text cut at its headings; what stands before the first one is left out."""
    matches = list(_HEADING.finditer(text))
    ends = [match.start() for match in matches[1:]] + [len(text)]
    return [
        Part(title=match[2], level=len(match[1]), body=text[match.end() : end])
        for match, end in zip(matches, ends, strict=True)
    ]


def prose(text: str) -> str:
    """Without headings, code and tables."""
    return _TABLE.sub("", _HEADING.sub("", _FENCE.sub("", text))).strip()


def faults(markdown: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the form: the name of the check, and what."""
    bare = without_code(_FENCE.sub("", markdown))
    if re.search(r"^(```+|~~~+)", bare, re.MULTILINE):
        yield "markdown", "a code fence is not closed"
    for block in re.findall(r"(?:^\|.*\n?)+", bare, re.MULTILINE):
        cells = {len(cells_of(row)) for row in block.strip().splitlines()}
        if len(cells) > 1:
            yield "markdown", f"rows of a table have {min(cells)} to {max(cells)} cells"
        elif not any(_RULER.match(row) for row in block.splitlines()[1:2]):
            yield "markdown", "a table has no line below its head"
    used, known = set(_NOTE_MARK.findall(bare)), set(_NOTE_NAME.findall(bare))
    for name in sorted(used - known):
        yield "citations", f"note {name} is referred to and not there"
    for name in sorted(known - used):
        yield "citations", f"note {name} is there and not referred to"
    yield from _unclosed(bare)
    yield from _links(bare)


def cells_of(row: str) -> list[str]:
    """The cells of a table's row as they stand there."""
    bare = row.strip().removeprefix("|")
    return re.split(r"(?<!\\)\|", bare[:-1] if bare.endswith("|") and not bare.endswith("\\|") else bare)


def without_code(text: str) -> str:
    """Without code inside of lines."""
    return _CODE.sub("", text)


def unescaped(text: str) -> str:
    """Without the backslashes that keep Markdown's signs from being read as such."""
    return _ESCAPE.sub("", text)


def _unclosed(bare: str) -> Iterator[tuple[str, str]]:
    for paragraph in bare.split("\n\n"):
        for mark in ("**", "$$"):
            if paragraph.count(mark) % 2:
                yield "markdown", f"a {mark} is not closed: {paragraph.strip()[:40]}"


def _links(bare: str) -> Iterator[tuple[str, str]]:
    """Links by name, ``[text][name]`` or ``[name][]``, that are nowhere defined; ``[1][2]`` are marks."""
    there = {" ".join(name.lower().split()) for name in _LINK_NAME.findall(bare)}
    for text, name in _LINK.findall(bare):
        if not name.isdigit() and " ".join((name or text).lower().split()) not in there:
            yield "markdown", f"a link leads nowhere: [{text}][{name}]"
