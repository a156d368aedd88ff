"""The structure of every format: headings, contents, tables, footnotes; what a text may not do in any of them."""

import io
import re
import xml.etree.ElementTree as ET
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

import coa
from coa.errors import MissingExtra
from coa.types import Answer, Citation, Source, Span
from coa.writing.check import check
from coa.writing.export import export, html_of, markdown_of
from coa.writing.markdown import headings

TEXT = """# The sound & its lights

## Ferries

### The first ferry

The ferry left at six [1]. It cost $5 or $6, and `a[1]` is code <script>alert(1)</script>.

| Ferry | Passengers |
|---|---:|
| Halcyon [2] | 40 |
| Tern \\| Gull | 9 |

### The last ferry

Nobody came [1][2]. ![a map](/etc/hostname) was lost.

```python
print(marks[1])
```

## Lights

### Gull Stack

- one lamp
- *two* wicks

### Skerry Orn

See <img src=x onerror=alert(1)> there [3].
"""
TITLES = ["Ferries", "The first ferry", "The last ferry", "Lights", "Gull Stack", "Skerry Orn"]
LEVELS = [1, 2, 2, 1, 2, 2]
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def answer() -> Answer:
    quotes = {1: "The *ferry* left at six.", 2: "[9] She | carried <b>forty</b>.", 3: " ".join(["a long quote"] * 40)}
    return Answer(
        text=TEXT,
        status="complete",
        run_id="r",
        model="m",
        documents=(Source(id="log", path="papers/the_log.txt", sha256="ab" * 32, chars=9000),),
        citations=tuple(
            Citation(marker=n, span=Span(doc="log", start=10 * n, end=10 * n + 9), quote=quote, line=n, page=n + 1)
            for n, quote in quotes.items()
        ),
    )


def test_markdown_has_contents_footnotes_and_references():
    text = markdown_of(answer())
    contents = re.findall(r"^ *- \[(.+?)\]\(#(.+?)\)$", text, re.MULTILINE)
    assert [title for title, _ in contents] == TITLES and contents[1][1] == "the-first-ferry"
    assert set(re.findall(r"\[\^(\d)\](?!:)", text)) == set(re.findall(r"^\[\^(\d)\]:", text, re.MULTILINE)) == {*"123"}
    assert "`a[1]`" in text and "print(marks[1])" in text and "at six[^1]." in text
    note = next(line for line in text.splitlines() if line.startswith("[^2]:"))
    assert (
        note == "[^2]: the\\_log.txt, page 3, line 2, characters 20–29: “\\[9\\] She \\| carried \\<b\\>forty\\</b\\>.”"
    )
    assert "a long quote a …”" in text and text.count("a long quote") == 13
    assert "- the\\_log.txt: 9,000 characters, SHA-256 abababababababab, 3 places cited" in text
    assert {finding.check for finding in check(text).findings} <= {"residue"}


def test_a_short_text_has_no_contents_and_one_without_sources_no_references():
    plain = Answer(text="# T\n\n## A\n\nOne [1].\n", status="complete", run_id="r", model="m")
    assert markdown_of(plain) == plain.text


class Page(HTMLParser):
    """Tags, ids and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.ids += [found["id"] or ""] if "id" in found else []
        self.links += [found["href"] or ""] if "href" in found else []


def test_html_has_anchors_that_the_contents_meet_and_notes_with_ways_back():
    text = html_of(markdown_of(answer()))
    page = Page(text)
    assert len(page.ids) == len(set(page.ids)) and page.tags.count("h1") == 1 and page.tags.count("h3") == 4
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert [link for link in page.links if link.startswith("#note-")] == [f"#note-{n}" for n in (1, 2, 1, 2, 3)]
    assert sum(link.startswith("#mark-") for link in page.links) == 5
    assert page.tags.count("th") == 2 and "<td>Tern | Gull</td>" in text and 'lang="en"' in text
    assert not {"script", "img", "iframe", "link"} & set(page.tags) and "a map was lost" in text


def test_html_of_a_german_text_says_so():
    german = "Die Fähre fuhr um sechs und nicht um sieben, und der Wärter ist auf dem Felsen mit den Lampen."
    assert '<html lang="de">' in html_of(f"# Fähren\n\n{german}\n")


def made(suffix: str, tmp_path: Path) -> Path:
    path = tmp_path / f"out{suffix}"
    try:
        export(answer(), path)
    except MissingExtra as error:
        pytest.skip(error.message)
    return path


def words(element: ET.Element) -> str:
    return "".join(each.text or "" for each in element.iter(f"{W}t"))


@pytest.mark.slow
def test_docx_has_real_headings_notes_tables_contents_and_page_numbers(tmp_path: Path):
    archive = zipfile.ZipFile(made(".docx", tmp_path))
    body = ET.fromstring(archive.read("word/document.xml"))
    styled = [(each.find(f"{W}pPr/{W}pStyle"), each) for each in body.iter(f"{W}p")]
    by_style = [(style.get(f"{W}val"), words(each)) for style, each in styled if style is not None]
    shown = [(style, text) for style, text in by_style if style and style.startswith("Heading")]
    expected = list(zip([f"Heading{level}" for level in LEVELS], TITLES, strict=True))
    assert shown == [*expected, ("Heading1", "References")]
    assert ("Title", "The sound & its lights") in by_style
    assert [text for style, text in by_style if style and style.startswith("TOC")] == [*TITLES, "References"]
    anchors = [each.get(f"{W}anchor") for each in body.iter(f"{W}hyperlink") if each.get(f"{W}anchor")]
    assert set(anchors) <= {each.get(f"{W}name") for each in body.iter(f"{W}bookmarkStart")}
    assert 'TOC \\o "1-2"' in "".join(each.text or "" for each in body.iter(f"{W}instrText"))
    notes = ET.fromstring(archive.read("word/footnotes.xml"))
    told = [words(note).strip() for note in notes if note.get(f"{W}type") is None]
    assert len(told) == len(list(body.iter(f"{W}footnoteReference"))) == 5
    assert told[0].startswith("the_log.txt, page 2, line 1") and told[2:4] == ["As note 1.", "As note 2."]
    table = body.find(f".//{W}tbl")
    assert table is not None and [words(cell) for cell in table.iter(f"{W}tc")][:2] == ["Ferry", "Passengers"]
    assert "Tern | Gull" in words(table) and "w:tblBorders" in archive.read("word/styles.xml").decode()
    assert any("PAGE" in archive.read(name).decode() for name in archive.namelist() if "footer" in name)
    whole = words(body)
    assert "<script>alert(1)</script>" in whole and "a map was lost" in whole
    assert not [name for name in archive.namelist() if "media" in name]


@pytest.mark.slow
def test_epub_has_a_navigation_chapters_notes_and_tables(tmp_path: Path):
    archive = zipfile.ZipFile(made(".epub", tmp_path))
    assert archive.testzip() is None and archive.read("mimetype") == b"application/epub+zip"
    pages = {name: archive.read(name).decode() for name in archive.namelist() if name.endswith("xhtml")}
    for text in pages.values():
        ET.fromstring(text)  # Well-formed, or a reader refuses it.
    nav = next(text for name, text in pages.items() if name.endswith("nav.xhtml"))
    links = re.findall(r'<a href="(text/ch[^"]+)">(.*?)</a>', nav)
    assert [title for _, title in links] == [*TITLES, "References"] and ">Contents</h1>" in nav
    for target, title in links:
        name, _, anchor = target.partition("#")
        page = next(text for each, text in pages.items() if each.endswith(name))
        assert f'id="{anchor}"' in page and title in page
    whole = "".join(pages.values())
    assert whole.count('epub:type="noteref"') == 5 and whole.count('epub:type="footnote"') == 5
    assert "<th" in whole and "<script" not in whole and "<img" not in whole and "onerror=alert" in whole
    assert not [name for name in archive.namelist() if re.search(r"media|\.png|\.jpg", name)]


@pytest.mark.slow
def test_pdf_has_an_outline_pages_and_notes(tmp_path: Path):
    from pypdf import PdfReader

    path = made(".pdf", tmp_path)
    reader = PdfReader(io.BytesIO(path.read_bytes()))

    def outlined(entries: list) -> list[str]:
        return [
            title for each in entries for title in (outlined(each) if isinstance(each, list) else [each.title or ""])
        ]

    assert outlined(reader.outline) == [*TITLES, "References"]
    assert reader.metadata is not None and reader.metadata.title == "The sound & its lights"
    text = " ".join(coa.load(path).text.split())
    for wanted in ("Ferries", "the_log.txt, page 2, line 1", "As note 1.", "Halcyon", "$5 or $6", "<script>", "a map"):
        assert wanted in text
    assert len(reader.pages) >= 2


def test_headings_of_the_fixture_are_those_that_are_looked_for():
    assert [title for level, title in headings(TEXT) if level > 1] == TITLES
