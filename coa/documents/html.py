"""HTML as text: blocks become paragraphs, and every run of text keeps the place in the source where it stood."""

from __future__ import annotations

from html.parser import HTMLParser

from coa.documents.decode import Decoded, decode
from coa.documents.document import Document, SourceMap

_SKIP = frozenset({"script", "style", "head", "title", "template", "noscript", "svg", "math", "iframe", "object"})
_BLOCK = frozenset(
    """
    address article aside blockquote body dd details div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6
    header hr html li main nav ol p pre section summary table tbody tfoot thead tr ul
    """.split()  # noqa: SIM905
)
_PARAGRAPH = frozenset("p h1 h2 h3 h4 h5 h6 blockquote pre ul ol table section article figure".split())  # noqa: SIM905


class _Reader(HTMLParser):
    """Collects the text, and for each piece where in the source it began."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self._starts = _line_starts(source)
        self._skipping: list[str] = []
        self._preformatted = 0
        self._gap = ""
        self.pieces: list[str] = []
        self.size = 0
        self.marks: list[tuple[int, int]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIP:
            self._skipping.append(tag)
        elif tag == "br":
            self._break("\n")
        elif tag in ("td", "th"):
            self._break("\t")
        elif tag in _BLOCK:
            self._break("\n\n" if tag in _PARAGRAPH else "\n")
        self._preformatted += tag == "pre"

    def handle_endtag(self, tag: str) -> None:
        if self._skipping and tag == self._skipping[-1]:
            self._skipping.pop()
        elif tag in _BLOCK:
            self._break("\n\n" if tag in _PARAGRAPH else "\n")
        self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SKIP:
            self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if self._skipping:
            return
        line, column = self.getpos()
        at = self._starts[line - 1] + column
        if self._preformatted:
            self._write(data, at)
            return
        self._words(data, at)

    def handle_entityref(self, name: str) -> None:
        self._reference(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._reference(f"&#{name};")

    def _reference(self, reference: str) -> None:
        from html import unescape

        if not self._skipping:
            line, column = self.getpos()
            self._write(unescape(reference).replace("\xa0", " "), self._starts[line - 1] + column)

    def _words(self, data: str, at: int) -> None:
        """Blanks fold into one, as a browser shows them."""
        position = 0
        for word in data.split():
            start = data.index(word, position)
            if start > position:
                self._break(" ")
            self._write(word, at + start)
            position = start + len(word)
        if position < len(data):
            self._break(" ")

    def _break(self, gap: str) -> None:
        order = ("", " ", "\t", "\n", "\n\n")
        if order.index(gap) > order.index(self._gap):
            self._gap = gap

    def _write(self, text: str, at: int) -> None:
        if not text:
            return
        if self._gap and self.size:
            self.pieces.append(self._gap)
            self.size += len(self._gap)
        self._gap = ""
        self.marks.append((self.size, at))
        self.pieces.append(text)
        self.size += len(text)


def read_html(data: bytes) -> Decoded:
    """The text of a page without scripts, styles and markup."""
    source = decode(data)
    reader = _Reader(source.text)
    return Decoded(text="".join(reader.pieces), source_map=_map(reader, source), warnings=source.warnings)


def _map(reader: _Reader, source: Decoded) -> SourceMap:
    """Through the decoder's own map, so that a byte of the page is a byte of the file."""
    if not source.source_map.offsets:
        return SourceMap()
    page = Document(id="", path="", text=source.text, sha256="", source_map=source.source_map)
    bytes_at = tuple(page.byte(at) or 0 for _, at in reader.marks)
    return SourceMap(
        offsets=tuple(offset for offset, _ in reader.marks), bytes_at=bytes_at, encoding=source.source_map.encoding
    )


def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in source.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts
