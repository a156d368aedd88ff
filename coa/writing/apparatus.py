"""What code puts around a text: contents, a footnote for each citation with its place, the list of sources."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from coa.types import Answer, Citation
from coa.verbatim import outside_code
from coa.writing.markdown import headings

FEWEST_HEADINGS = 4
"""A text with fewer headings below its title needs no contents."""

_DEEPEST = 3
_QUOTE_WORDS = 40
_MARK = re.compile(r"(?:(?<=\S)[ \t]+)?\[(\d+)\]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~^$&!])")


def markdown_of(answer: Answer) -> str:
    """The text with contents, footnotes ``[^1]`` and references: plain Markdown, complete in itself."""
    known = {citation.marker for citation in answer.citations}

    def note(match: re.Match[str]) -> str:
        return f"[^{match[1]}]" if int(match[1]) in known else match[0]

    text = outside_code(answer.text.rstrip(), lambda piece: _MARK.sub(note, piece))
    blocks = [_with_contents(text)]
    if answer.citations:
        blocks.append("## References\n\n" + "\n".join(_references(answer)))
        blocks.append("\n\n".join(_notes(answer)))
    return "\n\n".join(blocks) + "\n"


def slugs(titles: Iterable[str]) -> Iterator[str]:
    """An anchor for each heading, as GitHub makes them: ``The light, again`` is ``the-light-again``."""
    seen: Counter[str] = Counter()
    for title in titles:
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        times, seen[slug] = seen[slug], seen[slug] + 1
        yield f"{slug}-{times}" if times else slug


def escaped(text: str) -> str:
    """Text of a document on one line, none of it read as Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _with_contents(text: str) -> str:
    found = headings(text)
    anchors = list(slugs(title for _, title in found))
    listed = [
        f"{'  ' * (level - 2)}- [{escaped(title)}](#{anchor})"
        for (level, title), anchor in zip(found, anchors, strict=True)
        if 1 < level <= _DEEPEST
    ]
    if len(listed) < FEWEST_HEADINGS or found[0][0] != 1:
        return text
    title, _, rest = text.partition("\n")
    return "\n".join([title, "", "## Contents", "", *listed, rest])


def _notes(answer: Answer) -> Iterator[str]:
    """One footnote a citation: file, page, line, the span in characters, and how the quote begins."""
    names = _names(answer)
    for citation in answer.citations:
        words = citation.quote.split()
        quote = " ".join(words[:_QUOTE_WORDS]) + (" …" if len(words) > _QUOTE_WORDS else "")
        yield f"[^{citation.marker}]: {escaped(names[citation.span.doc])}, {_place(citation)}: “{escaped(quote)}”"


def _place(citation: Citation) -> str:
    page = f"page {citation.page}, " if citation.page is not None else ""
    return f"{page}line {citation.line}, characters {citation.span.start}–{citation.span.end}"


def _references(answer: Answer) -> Iterator[str]:
    """The documents that are cited, so that each can be found again and known to be the same."""
    names = _names(answer)
    for source in answer.documents:
        if cited := sum(each.span.doc == source.id for each in answer.citations):
            yield (
                f"- {escaped(names[source.id])}: {source.chars:,} characters, SHA-256 {source.sha256[:16]}, "
                f"{cited} {'place' if cited == 1 else 'places'} cited"
            )


def _names(answer: Answer) -> dict[str, str]:
    """What each document is called: its file's name, or its path where two files have the same name."""
    times = Counter(Path(source.path).name for source in answer.documents)
    return {
        source.id: name if times[name := Path(source.path).name] == 1 else source.path for source in answer.documents
    }
