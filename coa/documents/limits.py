"""`Limits`: how much a file may ask of the machine that reads it."""

from __future__ import annotations

from dataclasses import dataclass

_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on input files, in bytes unless said otherwise.

    Attributes:
        file_bytes: The file itself.
        member_bytes: One file inside an archive (DOCX, EPUB), inflated.
        archive_bytes: All files inside an archive together, inflated.
        members: Files inside an archive.
        ratio: Inflated size by compressed size of one member, or text by file of a PDF, once it is larger than a
            megabyte.
        pages: Pages of a PDF.
        stream_bytes: One stream of a PDF (the content of a page, a font, a table of objects), inflated.
        pdf_memory: Address space of the process that reads one PDF, beside three times the file; held on Linux.
        pdf_seconds: Processor time for the pages of one PDF.
        files: Files of a directory.
    """

    file_bytes: int = 200 * _MB
    member_bytes: int = 100 * _MB
    archive_bytes: int = 512 * _MB
    members: int = 10_000
    ratio: int = 100
    pages: int = 20_000
    stream_bytes: int = 20 * _MB
    pdf_memory: int = 512 * _MB
    pdf_seconds: float = 600.0
    files: int = 10_000
