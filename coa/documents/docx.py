"""Word documents: paragraphs, headings, lists and tables, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coa.documents.archive import Archive

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_BODY = "word/document.xml"
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")


def read_docx(archive: Archive) -> str:
    """The text of the body, then of the foot- and endnotes; cells of a table row are separated by tabs."""
    parts = [_BODY, *(name for name in _NOTES if name in archive.names)]
    return "\n\n".join(filter(None, (_blocks(archive.xml(part)) for part in parts)))


def _blocks(root: Element) -> str:
    blocks: list[str] = []
    stack = [root]
    while stack:
        element = stack.pop()
        if element.tag == f"{_W}p":
            blocks.append(_text(element))
        elif element.tag == f"{_W}tbl":
            blocks.append("\n".join(_row(row) for row in element.iter(f"{_W}tr")))
        else:
            stack.extend(reversed(element))
    return "\n\n".join(block for block in blocks if block.strip())


def _row(row: Element) -> str:
    return "\t".join(" ".join(_text(paragraph) for paragraph in cell.iter(f"{_W}p")) for cell in row.iter(f"{_W}tc"))


def _text(paragraph: Element) -> str:
    pieces: list[str] = []
    for element in paragraph.iter():
        if element.tag == f"{_W}t":
            pieces.append(element.text or "")
        elif element.tag == f"{_W}tab":
            pieces.append("\t")
        elif element.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
    return "".join(pieces)
