"""What runs in the process that reads one PDF: bounds set for it by the system, then its text, page by page.

The file comes on standard input; one JSON object goes to standard output: ``{"pages": [str, ...]}``, or ``{"error":
"the name of a class of coa.errors", "message": str}``.
"""

from __future__ import annotations

import io
import json
import logging
import math
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from coa.documents.limits import Limits
from coa.errors import CorruptFile, EncryptedDocument, InputError, InputTooLarge, UnsafeInput

if TYPE_CHECKING:
    from pypdf import PdfReader

_RATIO_FROM = 1024 * 1024
_COPIES = 3
"""How often the file itself may be held: as it was sent, as a stream, and what its objects copy."""
_STREAMS = (
    "maximum_declared_stream_length",
    "array_based_stream_maximum_output_length",
    "zlib_maximum_output_length",
    "lzw_maximum_output_length",
    "run_length_maximum_output_length",
)


def main(limits: Limits, size: int) -> None:
    """Read the file on standard input.

    Args:
        limits: What it may ask of the machine.
        size: Its bytes.
    """
    _bound(limits, size)
    try:
        outcome: dict[str, object] = {"pages": page_texts(sys.stdin.buffer.read(), limits)}
    except InputError as error:
        outcome = {"error": error.code, "message": error.message}
    json.dump(outcome, sys.stdout)


def page_texts(data: bytes, limits: Limits) -> list[str]:
    """The text of each page, in this process.

    Raises:
        EncryptedDocument: it needs a password.
        CorruptFile: it is damaged.
        InputTooLarge: it asks for more pages, time or memory than it may have.
        UnsafeInput: its text inflates like a bomb.
    """
    from pypdf import apply_configuration
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        with apply_configuration(**dict.fromkeys(_STREAMS, limits.stream_bytes)):
            return _pages(data, limits)
    except (FileNotDecryptedError, DependencyError):
        raise EncryptedDocument("is encrypted") from None
    except InputError:
        raise
    except LimitReachedError as error:
        raise InputTooLarge(f"is built of more than may be read: {error}") from None
    except MemoryError:
        raise InputTooLarge(f"takes more than {limits.pdf_memory // 2**20} MB of memory to read") from None
    except Exception as error:  # The parser of a hostile format fails in more ways than it declares.
        raise CorruptFile(f"is damaged: {type(error).__name__}") from None


def _pages(data: bytes, limits: Limits) -> list[str]:
    from pypdf import PdfReader

    reader: PdfReader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise EncryptedDocument("needs a password")
    if len(reader.pages) > limits.pages:
        raise InputTooLarge(f"has {len(reader.pages)} pages, more than {limits.pages}")
    return list(_texts(reader, len(data), limits))


def _texts(reader: PdfReader, file_bytes: int, limits: Limits) -> Iterator[str]:
    """Page by page: one small stream may be the content of thousands of pages."""
    began, size = time.process_time(), 0
    for page in reader.pages:
        text = page.extract_text()
        size += len(text)
        if size > _RATIO_FROM and size > limits.ratio * file_bytes:
            raise UnsafeInput(f"holds more than {limits.ratio} times as much text as the file is long")
        if time.process_time() - began > limits.pdf_seconds:
            raise InputTooLarge(f"takes more than {limits.pdf_seconds:g} s to read")
        yield text


def _bound(limits: Limits, size: int) -> None:
    """Memory, processor time and files, held by the system where it can (memory: on Linux)."""
    try:
        import resource
    except ImportError:
        return
    seconds = math.ceil(limits.pdf_seconds) + 1
    bounds = (
        (resource.RLIMIT_AS, limits.pdf_memory + _COPIES * size),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    )
    for what, most in bounds:
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most + (what == resource.RLIMIT_CPU)))
