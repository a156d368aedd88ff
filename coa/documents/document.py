"""`Document`: normalised text that knows where each of its characters came from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

from coa.documents.turns import Turn, turns_in
from coa.types import Source, Span

SOURCE_CODE = "text/x-source"
"""The media type of code: read as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """Where characters came from; looked up by bisection, so that a map stays far smaller than its text.

    Attributes:
        pages: ``pages[i]`` is the offset at which page ``i + 1`` begins; empty where the format has no pages.
        offsets: Ascending offsets in the text at which a run of characters begins ...
        bytes_at: ... and the byte in the source file where that run begins. Empty where bytes have no meaning.
        encoding: Inside a run, characters are encoded so, one after the other.
    """

    pages: tuple[int, ...] = ()
    offsets: tuple[int, ...] = ()
    bytes_at: tuple[int, ...] = ()
    encoding: str = "utf-8"


@dataclass(frozen=True, kw_only=True)
class Document:
    """A loaded document. Offsets everywhere in the library are characters of ``text``.

    Attributes:
        id: Short and stable: follows from the file's name.
        sha256: Of the source file's bytes.
        warnings: What the loader had to mend, for people.
    """

    id: str
    path: str
    text: str
    sha256: str
    media_type: str = "text/plain"
    source_map: SourceMap = field(default_factory=SourceMap)
    warnings: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        """The document as an answer names it."""
        return Source(id=self.id, path=self.path, sha256=self.sha256, chars=len(self.text))

    def span(self, start: int, end: int) -> Span:
        """A span of this document."""
        return Span(doc=self.id, start=start, end=end)

    def read(self, span: Span) -> str:
        """The text of a span, verbatim."""
        return self.text[span.start : span.end]

    def line(self, offset: int) -> int:
        """The line of the normalised text that a character stands on, counted from 1."""
        return bisect_right(self._line_starts, offset)

    def page(self, offset: int) -> int | None:
        """The page of a PDF or the chapter file of an EPUB, counted from 1; None for formats without either."""
        return bisect_right(self.source_map.pages, offset) or None if self.source_map.pages else None

    def byte(self, offset: int) -> int | None:
        """The byte of the source file where a character begins; None for archives and PDFs."""
        table = self.source_map
        run = bisect_right(table.offsets, offset) - 1
        if run < 0:
            return None
        before = self.text[table.offsets[run] : offset]
        # A character that stands for undecodable bytes has no form in an old encoding: it counts as one byte.
        errors = "surrogatepass" if table.encoding.startswith("utf") else "replace"
        return table.bytes_at[run] + len(before.encode(table.encoding, errors))

    @cached_property
    def turns(self) -> tuple[Turn, ...]:
        """Where somebody begins to speak, if the text is a conversation; else nothing."""
        return () if self.media_type == SOURCE_CODE else turns_in(self.text)

    def interrupted(self, offset: int) -> str | None:
        """Who is speaking where a stretch begins in the middle of a turn; None at a turn's beginning."""
        turn = bisect_right(self.turns, offset, key=lambda each: each.start) - 1
        if turn < 0 or self.turns[turn].start == offset:
            return None
        return self.turns[turn].speaker

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        position = self.text.find("\n")
        while position >= 0:
            starts.append(position + 1)
            position = self.text.find("\n", position + 1)
        return starts
