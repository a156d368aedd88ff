"""From written leaves to the finished text: headings, citations, marks where evidence is missing, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.citing import cite
from coa.agents.quotes import marker_pattern
from coa.documents import Document, LoadFailure
from coa.types import Citation, Coverage, Notes, Span, Unread
from coa.writing.author import Written, joined
from coa.writing.plan import Outline

NEEDS_SOURCE = "[needs source]"
_OFFLINE = "no language model wrote this: it is a digest of sentences of the sources, under headings made by code"
_PROSE = re.compile(r"\w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A whole text with what is known of it."""

    text: str
    coverage: Coverage
    citations: tuple[Citation, ...] = ()
    warnings: tuple[str, ...] = ()


def finished(
    outline: Outline,
    written: Sequence[Written],
    documents: Sequence[Document],
    tag: str,
    *,
    offline: bool = False,
    unloaded: Sequence[LoadFailure] = (),
) -> Finished:
    """Join the leaves and turn their marks into numbered citations; unknown marks are dropped and counted.

    Where there are sources, a paragraph that cites none of them ends with ``[needs source]``.
    """
    marked = [_marked(leaf, tag) for leaf in written] if documents else list(written)
    items = {item.marker: item for leaf in written for item in leaf.evidence}
    by_id = {document.id: document for document in documents}
    cited = cite(joined(outline, marked), Notes(evidence=tuple(items.values())), by_id, tag)
    failed = tuple(
        Unread(span=Span(doc="outline", start=i, end=i + 1), reason=f"{leaf.section.title}: {leaf.problem}")
        for i, leaf in enumerate(written)
        if not leaf.text
    )
    warnings = [f"section {leaf.section.id}: {warning}" for leaf in written for warning in leaf.warnings]
    if bare := [leaf.section.id for leaf in written if documents and leaf.text and not _cites(leaf, tag)]:
        warnings.append(f"sections that cite no source: {', '.join(bare)}")
    if cited.dropped:
        warnings.append(f"{cited.dropped} references pointed nowhere and were dropped")
    if offline:
        warnings.append(_OFFLINE)
    unread = tuple(
        Unread(span=Span(doc=each.path, start=0, end=0), reason=f"{each.error.code}: {each.error.message}")
        for each in unloaded
    )
    coverage = Coverage(chunks=len(written), read=len(written) - len(failed), failed=failed + unread)
    return Finished(text=cited.text + "\n", coverage=coverage, citations=cited.citations, warnings=tuple(warnings))


def _marked(leaf: Written, tag: str) -> Written:
    """The leaf with a mark at the end of each paragraph that rests on no passage."""
    known = {item.marker for item in leaf.evidence}
    paragraphs = leaf.text.split("\n\n")
    return replace(leaf, text="\n\n".join(each if _rests(each, known, tag) else _needs(each) for each in paragraphs))


def _rests(paragraph: str, known: set[str], tag: str) -> bool:
    """Whether it holds a mark of a passage; tables, lists and code have none of their own."""
    if not _PROSE.match(paragraph.lstrip("\"'“‘«(*_")):
        return True
    return any(marker in known for match in marker_pattern(tag).findall(paragraph) for marker in _markers(match, tag))


def _markers(match: str, tag: str) -> list[str]:
    return re.findall(rf"{tag}\d+", match)


def _needs(paragraph: str) -> str:
    return f"{paragraph.rstrip()} {NEEDS_SOURCE}"


def _cites(leaf: Written, tag: str) -> bool:
    return any(item.marker in leaf.text for item in leaf.evidence) and tag in leaf.text
