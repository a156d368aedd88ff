"""`Document`: normalised text that knows where each of its characters came from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMap:
    """Where characters came from: sorted break points, looked up by bisection.

    Attributes:
        pages: ``pages[i]`` is the offset at which page ``i + 1`` begins; empty where the format has no pages.
        bytes_at: ``(offset, byte)`` pairs, ascending: from ``offset`` on, ... (see `Document.byte`).
    """

    pages: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A loaded document. Offsets everywhere in the library are characters of ``text``."""

    id: str
    path: str
    text: str
    sha256: str
    media_type: str = "text/plain"
    source_map: SourceMap = field(default_factory=SourceMap)
    warnings: tuple[str, ...] = ()
