"""`Bundle`: many small files, or passages of some, as one document, and the way back from its characters to theirs.

Read one by one, fifty short files are fifty calls; together they fill a few windows.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coa.documents.document import SOURCE_CODE, Document
from coa.types import Answer, Citation, Coverage, Span, Unread

HEAD = "==== FILE {path} ====\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One document made of several.

    Attributes:
        document: What is read: each file after a line with its path.
        members: The file that each piece is from.
        starts: Where the text of each piece begins in the document.
        places: The stretch of its file that each piece is; empty where the pieces are the files.
    """

    document: Document
    members: tuple[Document, ...]
    starts: tuple[int, ...]
    places: tuple[Span, ...] = ()

    def locate(self, span: Span) -> Span:
        """The span of the file that a span of the bundle begins in, cut where the file ends."""
        index = max(0, bisect_right(self.starts, span.start) - 1)
        member, start = self.members[index], self.starts[index]
        first, last = (self.places[index].start, self.places[index].end) if self.places else (0, len(member.text))
        begin = min(first + max(0, span.start - start), last)
        return member.span(begin, max(begin, min(first + span.end - start, last)))

    def unpacked(self, answer: Answer) -> Answer:
        """An answer about the bundle as one about its files."""
        coverage = answer.coverage
        return replace(
            answer,
            documents=tuple(dict.fromkeys(member.source for member in self.members)),
            citations=tuple(self._citation(citation) for citation in answer.citations),
            coverage=Coverage(
                chunks=coverage.chunks,
                read=coverage.read,
                skipped=tuple(self._unread(unread) for unread in coverage.skipped),
                failed=tuple(self._unread(unread) for unread in coverage.failed),
            ),
        )

    def _citation(self, citation: Citation) -> Citation:
        span = self.locate(citation.span)
        member = next(member for member in self.members if member.id == span.doc)
        return replace(
            citation, span=span, quote=member.read(span), line=member.line(span.start), page=member.page(span.start)
        )

    def _unread(self, unread: Unread) -> Unread:
        return unread if unread.span.doc != self.document.id else replace(unread, span=self.locate(unread.span))


def bundle(name: str, path: str, members: Sequence[Document], ends: Mapping[str, int] | None = None) -> Bundle:
    """Put files together, in the order given.

    Args:
        name: The id of the document.
        path: What to call it in plans.
        members: At least one.
        ends: For files of which only the beginning is to be read: how many characters, by their ids.
    """
    pieces: list[str] = []
    starts: list[int] = []
    size = 0
    for member in members:
        head = HEAD.format(path=member.id)
        starts.append(size + len(head))
        text = member.text[: (ends or {}).get(member.id, len(member.text))]
        pieces.append(f"{head}{text.rstrip(chr(10))}\n\n")
        size += len(pieces[-1])
    document = _document(name, path, "".join(pieces), SOURCE_CODE)
    return Bundle(document=document, members=tuple(members), starts=tuple(starts))


def bundle_passages(name: str, path: str, passages: Sequence[tuple[Document, Span]]) -> Bundle:
    """Put passages together, in the order given; a passage of another document than the one before gets a heading."""
    pieces: list[str] = []
    starts: list[int] = []
    size, before = 0, ""
    for member, span in passages:
        head = "" if member.id == before else HEAD.format(path=member.id)
        starts.append(size + len(head))
        pieces.append(f"{head}{member.read(span)}\n\n")
        size, before = size + len(pieces[-1]), member.id
    return Bundle(
        document=_document(name, path, "".join(pieces), "text/plain"),
        members=tuple(member for member, _ in passages),
        starts=tuple(starts),
        places=tuple(span for _, span in passages),
    )


def _document(name: str, path: str, text: str, media_type: str) -> Document:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Document(id=name, path=path, text=text, sha256=digest, media_type=media_type)
