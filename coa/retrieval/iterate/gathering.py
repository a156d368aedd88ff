"""Passages gathered question by question: each stretch once, in a document that only ever grows at its end."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager

from coa.agents.fence import Fence, fence_for
from coa.code.bundle import Bundle, bundle_passages
from coa.documents import Document
from coa.errors import EmptyDocument
from coa.retrieval.index import Index
from coa.retrieval.reading import indexed
from coa.sources import ReadStdin, SourceLike, load_sources
from coa.tokens import TokenCounter
from coa.types import Passage, Span

_TOKENS_A_HIT = 40
_MOST_HITS = 500


class Library:
    """An open index, and the documents in it."""

    def __init__(self, index: Index, path: str, documents: Mapping[str, Document], warnings: Sequence[str]) -> None:
        self.index, self.path, self.warnings = index, path, tuple(warnings)
        self._documents = dict(documents)

    @property
    def size(self) -> int:
        """How many documents there are."""
        return len(self.index.sources)

    def document(self, doc: str) -> Document:
        """The document with this id.

        Raises:
            EmptyDocument: it was taken out of the index meanwhile.
        """
        if doc not in self._documents:
            found = self.index.store.document(doc)
            if found is None:
                raise EmptyDocument(f"{doc!r} is no longer in the index", hint="Give the same command again.")
            self._documents[doc] = found
        return self._documents[doc]

    def fence(self) -> Fence:
        """A fence that follows from everything that may be found: no text can hold a hash of itself."""
        sources = self.index.sources
        return fence_for([Document(id=one.id, path=one.path, text="", sha256=one.sha256) for one in sources])


@contextmanager
def library(sources: Sequence[SourceLike], loaded: Sequence[Document], warnings: Sequence[str]) -> Generator[Library]:
    """The index that the sources are; else one of the documents loaded from them, by their words, for this run."""
    address = indexed(sources)
    if address is not None:
        index = Index.open(address)
        try:
            yield Library(index, str(address), {}, warnings)
        finally:
            index.close()
        return
    with tempfile.TemporaryDirectory(prefix="coa-") as folder:
        index = Index.create(folder)
        try:
            # An index tells documents apart by their paths, a run by their ids.
            index.add([Document(id=one.id, path=one.id, text=one.text, sha256=one.sha256) for one in loaded])
            yield Library(index, loaded[0].path, {one.id: one for one in loaded}, warnings)
        finally:
            index.close()


async def load(sources: Sequence[SourceLike], stdin: ReadStdin | None) -> tuple[tuple[Document, ...], tuple[str, ...]]:
    """The documents of sources that are no index, and what could not be loaded."""
    if indexed(sources) is not None:
        return (), ()
    documents, failures = await load_sources(sources, stdin)
    return documents, tuple(f"not loaded: {failure.path}: {failure.error.message}" for failure in failures)


class Gathered:
    """What was found so far."""

    def __init__(self, library: Library, fence: Fence, counter: TokenCounter) -> None:
        self._library, self._fence, self._counter = library, fence, counter
        self._taken: list[tuple[Document, Span]] = []

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every passage, in the order found."""
        return tuple(span for _, span in self._taken)

    @property
    def bundle(self) -> Bundle:
        """All passages as one document; more passages leave what is there as it is."""
        name = self._taken[0][0].id if self._taken else "nothing"
        return bundle_passages(name, self._library.path, self._taken)

    @property
    def passage(self) -> Passage:
        """The same, to be read in one call."""
        document = self.bundle.document
        return Passage(text=document.text, span=document.span(0, len(document.text)), part=1, parts=1)

    def add(self, query: str, tokens: int) -> int:
        """Find passages for a query, the best of them last (DRAG puts it next to the question); how many were new.

        Args:
            query: What to look for.
            tokens: How many the new passages may have together.
        """
        index = self._library.index
        hits = index.find(query, min(_MOST_HITS, 10 + tokens // _TOKENS_A_HIT))
        fresh = [hit for hit in hits if self._without_known(hit.span) == [hit.span]]
        if not fresh:
            return 0
        found = index.context(fresh, tokens, order="best_last", counter=self._counter)
        before = len(self._taken)
        for hit in found.passages:
            document = self._library.document(hit.span.doc)
            for span in self._without_known(hit.span):
                text = document.read(span)
                if text.strip() and self._fence.token not in text and f"[{self._fence.tag}" not in text:
                    self._taken.append((document, span))
        return len(self._taken) - before

    def drop_last(self) -> None:
        """Put back the passage that was found last."""
        self._taken.pop()

    def _without_known(self, span: Span) -> list[Span]:
        """What of a stretch was not taken yet."""
        left = [span]
        for known in self.spans:
            left = [piece for each in left for piece in _less(each, known)]
        return left


def _less(span: Span, other: Span) -> list[Span]:
    if span.doc != other.doc or other.end <= span.start or span.end <= other.start:
        return [span]
    before = Span(doc=span.doc, start=span.start, end=min(span.end, other.start))
    after = Span(doc=span.doc, start=max(span.start, other.end), end=span.end)
    return [piece for piece in (before, after) if len(piece) > 0]


def nothing_found() -> EmptyDocument:
    """What to say where no passage bears on a question."""
    return EmptyDocument(
        "no passage bears on the question", hint="Ask in words of the text, or give a larger --retrieve."
    )
