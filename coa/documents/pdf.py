"""PDF: the text layer, page by page."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coa.documents.limits import Limits
from coa.errors import CorruptFile, EncryptedDocument, InputError, InputTooLarge, NoTextLayer, UnsafeInput

if TYPE_CHECKING:
    from pypdf import PdfReader

_BETWEEN = "\n\n"
_RATIO_FROM = 1024 * 1024


def read_pdf(data: bytes, name: str, limits: Limits) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    """The text, the offsets at which the pages begin, and warnings about pages without text.

    Raises:
        EncryptedDocument: it needs a password. (Files that only restrict printing are read.)
        NoTextLayer: no page has text.
        CorruptFile: it is damaged.
        InputTooLarge: it has too many pages, or they take too long.
        UnsafeInput: its text inflates like a bomb.
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
    return list(_texts(reader, len(data), name, limits))


def _texts(reader: PdfReader, file_bytes: int, name: str, limits: Limits) -> Iterator[str]:
    """Page by page: one small stream may be the content of thousands of pages."""
    began, size = time.process_time(), 0
    for page in reader.pages:
        text = page.extract_text()
        size += len(text)
        if size > _RATIO_FROM and size > limits.ratio * file_bytes:
            raise UnsafeInput(f"the text of {name!r} is more than {limits.ratio} times as long as the file")
        if time.process_time() - began > limits.pdf_seconds:
            raise InputTooLarge(f"the pages of {name!r} take more than {limits.pdf_seconds:g} s to read")
        yield text


def _blank_warning(pages: list[int]) -> str:
    shown = ", ".join(str(number) for number in pages[:20]) + (" ..." if len(pages) > 20 else "")
    return f"{len(pages)} pages have no text and were not read: {shown}"
