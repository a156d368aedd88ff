"""`Bundle`: many small files as one document, and the way back from its characters to theirs.

Read one by one, fifty short files are fifty calls; together they fill a few windows.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from coa.documents.document import Document
from coa.types import Answer, Citation, Coverage, Span, Unread

HEAD = "==== FILE {path} ====\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """One document made of several.

    Attributes:
        document: What is read: each file after a line with its path.
        members: The files.
        starts: Where the text of each of them begins in the document.
    """

    document: Document
    members: tuple[Document, ...]
    starts: tuple[int, ...]

    def locate(self, span: Span) -> Span:
        """The span of the file that a span of the bundle begins in, cut where the file ends."""
        index = max(0, bisect_right(self.starts, span.start) - 1)
        member, start = self.members[index], self.starts[index]
        begin = min(max(0, span.start - start), len(member.text))
        return member.span(begin, max(begin, min(span.end - start, len(member.text))))

    def unpacked(self, answer: Answer) -> Answer:
        """An answer about the bundle as one about its files."""
        coverage = answer.coverage
        return replace(
            answer,
            documents=tuple(member.source for member in self.members),
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
        return replace(citation, span=span, quote=member.read(span), line=member.line(span.start), page=None)

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
    text = "".join(pieces)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    document = Document(id=name, path=path, text=text, sha256=digest, media_type="text/x-source")
    return Bundle(document=document, members=tuple(members), starts=tuple(starts))
