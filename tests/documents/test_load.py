"""Every format as a real file, every hostile file as a typed error with a hint."""

import io
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coa.documents import Limits, load, load_all
from coa.errors import (
    CorruptFile,
    EmptyDocument,
    EncryptedDocument,
    InputError,
    InputNotFound,
    InputTooLarge,
    InputUnreadable,
    NoTextLayer,
    UnsafeInput,
    UnsupportedFormat,
)


def pdf(*pages: str) -> bytes:
    from reportlab.pdfgen.canvas import Canvas

    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for page in pages:
        canvas.drawString(72, 700, page)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def archive(**members: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/").replace("_DOT_", "."), content)
    return buffer.getvalue()


def docx(body: str) -> bytes:
    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    return archive(word__document_DOT_xml=f"<w:document {space}><w:body>{body}</w:body></w:document>")


def test_a_word_document_keeps_paragraphs_and_tables(tmp_path: Path):
    from docx import Document as Word

    word = Word()
    word.add_heading("The Title", 1)
    word.add_paragraph("First paragraph.")
    table = word.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    word.add_paragraph("Last paragraph.")
    path = tmp_path / "a.docx"
    word.save(str(path))
    assert load(path).text == "The Title\n\nFirst paragraph.\n\nleft\tright\n\nLast paragraph."


def test_a_pdf_knows_its_pages():
    document = load(pdf("The first page.", "", "The third page."))
    assert document.page(document.text.index("first")) == 1
    assert document.page(document.text.index("third")) == 3
    assert "no text" in document.warnings[0]
    assert document.byte(0) is None


def test_an_epub_is_read_in_the_order_of_its_spine():
    package = """<package xmlns="http://www.idpf.org/2007/opf"><manifest>
        <item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>
        <item id="b" href="b%20c.xhtml" media-type="application/xhtml+xml"/></manifest>
        <spine><itemref idref="b"/><itemref idref="a"/></spine></package>"""
    data = archive(
        META_INF__container_DOT_xml='<c xmlns="urn:c"><rootfile full-path="OEBPS/x.opf"/></c>',
        OEBPS__x_DOT_opf=package,
        OEBPS__a_DOT_xhtml="<html><body><p>Second.</p></body></html>",
    ).replace(b"META_INF", b"META-INF")
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("OEBPS/b c.xhtml", "<html><body><h1>One</h1><p>First.</p></body></html>")
    document = load(buffer.getvalue())
    assert document.text == "One\n\nFirst.\n\nSecond."
    assert document.page(document.text.index("Second")) == 2


def test_html_becomes_paragraphs_and_knows_the_bytes():
    html = "<!doctype html><title>no</title><p>Zwölf  <b>Boxer</b> &amp; eins<script>evil()</script><ul><li>a<li>b</ul>"
    document = load(html.encode())
    assert document.text == "Zwölf Boxer & eins\n\na\nb"
    at = document.byte(document.text.index("Boxer"))
    assert at is not None and html.encode()[at:].startswith(b"Boxer")


def test_subtitles_become_a_line_a_cue():
    data = b"1\r\n00:00:01,000 --> 00:00:02,000\r\n<i>Hello</i>\r\nthere.\r\n\r\n"
    data += b"2\r\n00:01:02,500 --> 00:01:03,000\r\nBye.\r\n"
    assert load(data, path="a.srt").text == "[00:00:01] Hello there.\n[00:01:02] Bye.\n"
    assert load(b"WEBVTT\n\n01:02.500 --> 01:03.000\nBye.\n", path="a.vtt").text == "[00:01:02] Bye.\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_encodings_are_found_out(encoding: str):
    text = "Die zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n" * 20
    assert load(text.encode(encoding)).text == text


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_every_character_leads_back_to_its_byte(text: str):
    source = ("A book. " * 50 + text + "\r\n" + text).encode()
    document = load(source)
    for offset, char in enumerate(document.text):
        at = document.byte(offset)
        assert at is not None
        assert source[at:].startswith(char.encode()) or (char == "\n" and source[at : at + 1] == b"\r")


def test_line_breaks_nuls_and_marks_are_normalised_and_special_tokens_are_text():
    document = load(b"\xef\xbb\xbfOne\r\ntwo\rthree\x00 <|endoftext|> {{ 7*7 }}\n" + b"and so on. " * 20)
    assert document.text.startswith("One\ntwo\nthree\ufffd <|endoftext|> {{ 7*7 }}\n")
    assert document.warnings
    assert document.line(document.text.index("three")) == 3


def bomb() -> bytes:
    return docx("<w:p><w:r><w:t>" + "A" * 30_000_000 + "</w:t></w:r></w:p>")


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


def encrypted() -> bytes:
    from pypdf import PdfReader, PdfWriter

    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("Secret."))))
    writer.encrypt("password", algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyDocument),
        (b" \r\n\t ", EmptyDocument),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, UnsupportedFormat),
        (b"\x7fELF" + os.urandom(4000), UnsupportedFormat),
        (b"%PDF-1.7 and then nothing", CorruptFile),
        (pdf("Text.")[:300], CorruptFile),
        (pdf("", ""), NoTextLayer),
        (encrypted(), EncryptedDocument),
        (b"PK\x03\x04 broken", CorruptFile),
        (archive(readme="hello"), UnsupportedFormat),
        (archive(**{"..__evil": "x"}), UnsafeInput),
        (archive(word__document_DOT_xml=LAUGHS), UnsafeInput),
        (archive(word__document_DOT_xml=OUTSIDE), UnsafeInput),
        (archive(word__document_DOT_xml="<broken"), CorruptFile),
        (bomb(), UnsafeInput),
    ],
    ids="empty blank png elf cutpdf halfpdf scanned locked brokenzip zip dotdot laughs outside xml bomb".split(),  # noqa: SIM905
)
def test_files_that_cannot_be_read_say_why(data: bytes, error: type[InputError]):
    with pytest.raises(error) as caught:
        load(data)
    assert caught.value.hint
    assert caught.value.exit_code == 5


def test_paths_that_cannot_be_read_say_why(tmp_path: Path):
    with pytest.raises(InputNotFound):
        load(tmp_path / "missing.txt")
    with pytest.raises(InputUnreadable):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputUnreadable):
        load(tmp_path / "pipe")
    (tmp_path / "big.txt").write_text("x" * 2000)
    with pytest.raises(InputTooLarge):
        load(tmp_path / "big.txt", limits=Limits(file_bytes=1000))


def test_a_folder_is_searched_and_one_bad_file_does_not_stop_the_others(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("a.txt", "sub/a.txt", ".git/config", "code.py"):
        (tmp_path / name).write_text(f"The text of {name}.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    loaded = load_all([tmp_path, tmp_path / "missing.txt", tmp_path])
    assert [document.id for document in loaded.documents] == ["a.txt", "code.py", "a.txt-2"]
    assert [failure.error.code for failure in loaded.failures] == ["InputNotFound"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert load_all([empty]).failures[0].error.hint


def test_the_books_load_with_true_bytes(shared_data: Path):
    for path in sorted((shared_data / "books").glob("*.txt")):
        document, data = load(path), path.read_bytes()
        for offset in range(0, len(document.text), 9973):
            at = document.byte(offset)
            assert at is not None
            assert data[at : at + 8].decode("utf-8", "ignore")[:1] in (document.text[offset], "\r")
