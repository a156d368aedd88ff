"""EPUB books: the chapter files in the order of the spine; each is a page of the map."""

from __future__ import annotations

from coa.documents.archive import Archive, resolve
from coa.documents.html import read_html
from coa.errors import CorruptFile

_CONTAINER = "META-INF/container.xml"
_PAGES = frozenset({"application/xhtml+xml", "text/html"})
_BETWEEN = "\n\n"


def read_epub(archive: Archive) -> tuple[str, tuple[int, ...]]:
    """The text, and the offsets at which the chapter files begin."""
    texts: list[str] = []
    starts: list[int] = []
    size = 0
    for member in _spine(archive):
        text = read_html(archive.read(member)).text
        if text.strip():
            starts.append(size)
            texts.append(text)
            size += len(text) + len(_BETWEEN)
    return _BETWEEN.join(texts), tuple(starts)


def _spine(archive: Archive) -> list[str]:
    """The chapters' names; `Archive.read` refuses those that do not exist.

    Raises:
        CorruptFile: the book names no package file or no chapters.
    """
    package = next((item.get("full-path") for item in archive.xml(_CONTAINER).iter() if item.get("full-path")), None)
    if package is None:
        raise CorruptFile("the book names no package file")
    root = archive.xml(package)
    pages = {
        item.get("id", ""): resolve(package, item.get("href", ""))
        for item in root.iter()
        if item.tag.endswith("}item") and item.get("media-type") in _PAGES
    }
    spine = [
        pages[ref] for item in root.iter() if item.tag.endswith("}itemref") and (ref := item.get("idref")) in pages
    ]
    if not spine:
        raise CorruptFile("the book names no chapters")
    return list(dict.fromkeys(spine))
