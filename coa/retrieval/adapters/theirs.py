"""Passages that other libraries found, put in their place in the documents: without one nothing can be cited.

Their retrievers hand out texts, some with an offset, some cleaned up on the way. A text is looked for where it is said
to be, then anywhere in the document it is said to be from, then in all of them; blanks and quotation marks may differ.
The hit is what stands in the document. A text that stands nowhere is left out, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from coa.agents.quotes import find_quote
from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.base import Hit
from coa.types import Span

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A text as another library gave it.

    Attributes:
        text: The passage.
        names: What it says of where it is from: ids and paths.
        start: Where it says that it begins, in characters.
        score: What it was given there.
    """

    text: str
    names: Sequence[str] = ()
    start: int | None = None
    score: float | None = None


class Placed:
    """Turns what was found into hits over documents.

    Args:
        documents: What the other library's index was made from, as `coa.load` gives them.
        part: What its score is called among a hit's parts.

    Raises:
        UsageError: no documents.
    """

    def __init__(self, documents: Iterable[Document], part: str) -> None:
        self._documents = tuple(documents)
        self._part = part
        if not self._documents:
            raise UsageError("a retriever finds passages of documents", hint="Give those that its index is made from.")

    def hits(self, found: Sequence[Found], k: int) -> list[Hit]:
        """The first ``k`` at most, in the order they came in: their scores are ``1 / rank``."""
        if k < 1:
            raise UsageError(f"{k} passages cannot be found", hint="Give a k of 1 or more.")
        hits: dict[Span, Hit] = {}
        for one in found:
            place = self._place(one)
            if place is None:
                _log.warning("a passage of %s stands in none of the documents: %.60r", self._part, one.text)
                continue
            document, (start, end) = place
            parts = {} if one.score is None else {self._part: one.score}
            hit = Hit(
                span=document.span(start, end),
                score=0.0,
                text=document.text[start:end],
                path=document.path,
                page=document.page(start),
                parts=parts,
            )
            hits.setdefault(hit.span, hit)
        best = list(hits.values())[:k]
        return [replace(hit, score=1 / rank) for rank, hit in enumerate(best, 1)]

    def _place(self, found: Found) -> tuple[Document, tuple[int, int]] | None:
        text = found.text.strip()
        if not text:
            return None
        for document in self._likely(found.names):
            if place := _stands(document, found):
                return document, place
        return None

    def _likely(self, names: Sequence[str]) -> list[Document]:
        """The documents, those that a name means first: as id or path, or by the file's name alone."""
        ends = {PurePath(name).name for name in names}

        def unlike(document: Document) -> int:
            if document.id in names or document.path in names:
                return 0
            return 1 if PurePath(document.path).name in ends else 2

        return sorted(self._documents, key=unlike)


def _stands(document: Document, found: Found) -> tuple[int, int] | None:
    if found.start is not None and found.start >= 0:
        end = found.start + len(found.text)
        if document.text[found.start : end] == found.text:
            return found.start, end
    if (start := document.text.find(found.text)) >= 0:
        return start, start + len(found.text)
    return find_quote(document.text, found.text)
