"""Where the borders of a document's sections stand between its sentences, and which section a sentence is in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from coa.documents import Document
from coa.retrieval.sections import Sections
from coa.types import Span

_PARAGRAPH = 1
_DEEPEST = 7
_DOCUMENT = _DEEPEST + 2
_BETWEEN = " > "


class Outline:
    """The headings of some documents, as a search and its report need them."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self._texts = {document.id: document.text for document in documents}
        self._sections = {name: Sections(text) for name, text in self._texts.items()}

    def edges(self, spans: Sequence[Span | None]) -> tuple[int, ...]:
        """The border before each span: of a document, a heading (the higher the stronger), a paragraph, or none (0).

        A span that is None stands in no document. Empty where there is no border at all.
        """
        found = [0, *(self._between(a, b) for a, b in pairwise(spans))][: len(spans)]
        return tuple(found) if any(found) else ()

    def _between(self, before: Span | None, after: Span | None) -> int:
        if before is None or after is None:
            return _PARAGRAPH if before is not after else 0
        if before.doc != after.doc:
            return _DOCUMENT
        sections = self._sections[after.doc]
        crossed = sections.starts[
            bisect_right(sections.starts, before.start) : bisect_right(sections.starts, after.start)
        ]
        if crossed:
            return max(_PARAGRAPH + 1, _DOCUMENT - min(len(sections.at(start)) for start in crossed))
        return _PARAGRAPH if _blank_line(self._texts[after.doc][before.end : after.start]) else 0

    def title(self, first: Span, last: Span) -> str:
        """The section that two spans stand in, else the two in which they stand; empty where there are no headings."""
        ends = [self._sections[span.doc].at(span.start) for span in (first, last)]
        common = list(_common(*ends)) if first.doc == last.doc else []
        if common or not all(ends):
            return _BETWEEN.join(common or ends[0] or ends[1])
        return " … ".join(end[0] for end in ends)


def _common(a: Sequence[str], b: Sequence[str]) -> Iterator[str]:
    for left, right in zip(a, b, strict=False):
        if left != right:
            return
        yield left


def _blank_line(text: str) -> bool:
    return text.count("\n") > 1
