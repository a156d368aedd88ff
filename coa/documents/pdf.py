"""PDF: the text layer, page by page."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from coa.documents.limits import Limits
from coa.errors import CorruptFile, EncryptedDocument, InputError, InputTooLarge, NoTextLayer

if TYPE_CHECKING:
    from pypdf import PdfReader

_BETWEEN = "\n\n"


def read_pdf(data: bytes, name: str, limits: Limits) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """The text, the offsets at which the pages begin, and warnings about pages without text.

    Raises:
        EncryptedDocument: it needs a password. (Files that only restrict printing are read.)
        NoTextLayer: no page has text.
        CorruptFile: it is damaged.
        InputTooLarge: it has too many pages.
    """
    from pypdf.errors import DependencyError, FileNotDecryptedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        pages = _pages(data, name, limits)
    except (FileNotDecryptedError, DependencyError):
        raise EncryptedDocument(f"{name!r} is encrypted") from None
    except InputError:
        raise
    except Exception as error:  # The parser of a hostile format fails in more ways than it declares.
        raise CorruptFile(f"{name!r} is damaged: {type(error).__name__}") from None
    blank = [number for number, text in enumerate(pages, 1) if not text.strip()]
    if len(blank) == len(pages):
        raise NoTextLayer(f"{name!r} has no text on any of its {len(pages)} pages: they are images")
    starts: list[int] = []
    size = 0
    for text in pages:
        starts.append(size)
        size += len(text) + len(_BETWEEN)
    return _BETWEEN.join(pages), tuple(starts), (_blank_warning(blank),) if blank else ()


def _pages(data: bytes, name: str, limits: Limits) -> list[str]:
    from pypdf import PdfReader

    reader: PdfReader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise EncryptedDocument(f"{name!r} needs a password")
    if len(reader.pages) > limits.pages:
        raise InputTooLarge(f"{name!r} has {len(reader.pages)} pages, more than {limits.pages}")
    return [page.extract_text() for page in reader.pages]


def _blank_warning(pages: list[int]) -> str:
    shown = ", ".join(str(number) for number in pages[:20]) + (" ..." if len(pages) > 20 else "")
    return f"{len(pages)} pages have no text and were not read: {shown}"
