"""PDF: the text layer, page by page."""

from __future__ import annotations

from coa.documents.limits import Limits
from coa.documents.pdf_process import read_apart
from coa.errors import NoTextLayer

_BETWEEN = "\n\n"


def read_pdf(data: bytes, name: str, limits: Limits) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """The text, the offsets at which the pages begin, and warnings about pages without text.

    Raises:
        EncryptedDocument: it needs a password. (Files that only restrict printing are read.)
        NoTextLayer: no page has text.
        CorruptFile: it is damaged.
        InputTooLarge: it has too many pages, or takes more time or memory than the limits allow.
        UnsafeInput: its text inflates like a bomb.
        InputUnreadable: no process to read it can be started here.
    """
    pages = read_apart(data, name, limits)
    blank = [number for number, text in enumerate(pages, 1) if not text.strip()]
    if len(blank) == len(pages):
        raise NoTextLayer(f"{name!r} has no text on any of its {len(pages)} pages: they are images")
    starts: list[int] = []
    size = 0
    for text in pages:
        starts.append(size)
        size += len(text) + len(_BETWEEN)
    return _BETWEEN.join(pages), tuple(starts), (_blank_warning(blank),) if blank else ()


def _blank_warning(pages: list[int]) -> str:
    shown = ", ".join(str(number) for number in pages[:20]) + (" ..." if len(pages) > 20 else "")
    return f"{len(pages)} pages have no text and were not read: {shown}"
