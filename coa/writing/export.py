"""A written answer as a file: Markdown and HTML by themselves, DOCX, EPUB and PDF through pandoc (extra ``export``)."""

from __future__ import annotations

from pathlib import Path

from coa.errors import UsageError
from coa.runtime.files import write_atomically
from coa.types import Answer
from coa.writing.apparatus import markdown_of
from coa.writing.office import FORMATS as OFFICE
from coa.writing.office import office_file
from coa.writing.page import html_of

__all__ = ["FORMATS", "export", "html_of", "markdown_of"]

FORMATS = (".md", ".html", *OFFICE)


def export(answer: Answer, path: Path) -> None:
    """Write the answer in the format that the file's name asks for.

    Raises:
        UsageError: no such format.
        MissingExtra: pandoc is needed and not installed.
        StorageFailed: the file cannot be written.
    """
    suffix = path.suffix.lower()
    markdown = markdown_of(answer)
    if suffix in (".md", ".markdown", ".txt", ""):
        write_atomically(path, markdown.encode())
    elif suffix == ".html":
        write_atomically(path, html_of(markdown).encode())
    elif suffix in OFFICE:
        write_atomically(path, office_file(markdown, suffix))
    else:
        raise UsageError(f"{suffix!r} is no format to write", hint=f"Choose one of: {', '.join(FORMATS)}.")
