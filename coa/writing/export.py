"""A written answer as a file: Markdown and HTML by themselves, DOCX, EPUB and PDF through pandoc (extra ``export``)."""

from __future__ import annotations

from pathlib import Path

from coa.errors import UsageError
from coa.runtime.files import write_output
from coa.types import Answer
from coa.writing.apparatus import markdown_of
from coa.writing.office import FORMATS as OFFICE
from coa.writing.office import check_installed, office_file
from coa.writing.page import html_of

__all__ = ["FORMATS", "export", "html_of", "markdown_of"]

FORMATS = (".md", ".html", *OFFICE)
_OWN = (".md", ".html", ".markdown", ".txt", "")


def export(answer: Answer, path: Path) -> None:
    """Write the answer in the format that the file's name asks for.

    Raises:
        UsageError: no such format.
        MissingExtra: pandoc is needed and not installed.
        StorageFailed: the file cannot be written.
    """
    suffix = path.suffix.lower()
    check_format(suffix)
    markdown = markdown_of(answer)
    if suffix in OFFICE:
        data = office_file(markdown, suffix)
    else:
        data = (html_of(markdown) if suffix == ".html" else markdown).encode()
    write_output(path, data)


def check_format(suffix: str) -> None:
    """Refuse a file's suffix if no text can be written so here.

    Raises:
        UsageError: no such format.
        MissingExtra: pandoc is needed and not installed.
    """
    if suffix in OFFICE:
        check_installed(suffix)
    elif suffix not in _OWN:
        raise UsageError(f"{suffix!r} is no format to write", hint=f"Choose one of: {', '.join(FORMATS)}.")
