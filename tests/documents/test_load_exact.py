"""The loader's bounds and names, to the unit, and what it tells the reader about a text that it had to mend."""

from __future__ import annotations

import codecs
import hashlib
import io
import random
import zipfile
from pathlib import Path

import pytest

from coa.documents import Limits, load, load_all
from coa.documents.archive import Archive, resolve
from coa.documents.decode import decode
from coa.errors import (
    CorruptFile,
    EmptyDocument,
    EncryptedDocument,
    InputError,
    InputNotFound,
    InputTooLarge,
    InputUnreadable,
    UnsafeInput,
    UnsupportedFormat,
    UsageError,
)

GERMAN = "Die zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n" * 20
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\x00" * 600


def zipped(compression: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


# Encodings


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_a_mark_decides_and_is_no_text_and_nothing_has_to_be_said(mark: bytes, encoding: str):
    data = mark + GERMAN.encode(encoding)
    found = decode(data)
    assert (found.text, found.warnings) == (GERMAN, ())
    document = load(data)
    for offset in (0, 5, 500, len(GERMAN) - 1):
        at = document.byte(offset)
        assert at is not None and data[at:].startswith(GERMAN[offset].encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "cp1252"])
def test_an_encoding_that_is_not_declared_is_told(encoding: str):
    found = decode(GERMAN.encode(encoding))
    assert found.text == GERMAN
    (warning,) = found.warnings
    assert "not declared" in warning and encoding in warning


def test_plain_utf8_has_nothing_to_tell():
    assert decode(GERMAN.encode()).warnings == ()
    assert decode(b"plain").warnings == ()


@pytest.mark.parametrize("data", [b"a\x00b", b"ab\x00", b"\x00ab"])
def test_three_bytes_are_too_few_to_be_taken_for_utf16(data: bytes):
    assert len(decode(data).text) == 3


@pytest.mark.parametrize(("zeros", "wide"), [(3, False), (5, True)])
def test_four_in_ten_zeros_make_utf16(zeros: int, wide: bool):
    data = b"".join(bytes((65 + n, 0 if n < zeros else 66)) for n in range(10))
    assert (len(decode(data).text) == 10) is wide


def test_mostly_zeros_are_no_utf16():
    assert len(decode(b"A\x00\x00\x00" * 20).text) == 80


def test_what_was_replaced_is_counted():
    found = decode(b"abc \xff def \xfe\n" + "zwölf \N{REPLACEMENT CHARACTER}\n".encode() * 30)
    assert "2 invalid byte sequences were replaced (utf-8)" in found.warnings
    assert found.text.startswith("abc \ufffd def \ufffd\n")
    nuls = decode(b"one\x00 two\x00 three" * 3)
    assert nuls.warnings == ("6 NUL characters or lone surrogates were replaced",)
    assert nuls.text == "one\ufffd two\ufffd three" * 3


def test_few_high_bytes_are_windows_text_and_those_it_lacks_are_not():
    assert decode(("caf\xe9 " + "plain words " * 20).encode("cp1252")).text.startswith("café plain")
    assert "cp1252" not in str(decode(b"caf\xe9 \x81 " + b"plain words " * 20).warnings)


def test_line_breaks_are_folded_and_each_character_leads_back_to_its_byte():
    raw = "one\r\ntwo\rthree\r\n" * 700 + "ö" * 5000 + "\r\n" + "x" * 9000
    data = raw.encode()
    document = load(data)
    assert document.text == raw.replace("\r\n", "\n").replace("\r", "\n")
    for offset in range(0, len(document.text), 7):
        at = document.byte(offset)
        assert at is not None
        char = document.text[offset]
        assert data[at:].startswith(char.encode()) or (char == "\n" and data[at : at + 1] == b"\r")


def test_runs_of_the_byte_map_are_short_and_none_begins_inside_a_line_break():
    raw = "x" * 4095 + "\r\n" + "y" * 10_000
    table = decode(raw.encode()).source_map
    assert table.offsets == (0, 4096, 8191, 12_287)
    assert table.bytes_at == (0, 4097, 8192, 12_288)


def test_where_bytes_were_lost_no_byte_is_named():
    assert load(b"abc \xff def. " + b"plain words. " * 20).byte(9) in (None, 9)
    assert decode(b"ab\xff" + "zwölf ".encode() * 40).source_map.offsets == ()


# Archives


def test_a_bomb_is_what_is_a_hundred_times_its_size_and_over_a_megabyte():
    just, over = b"a" * 1024 * 1024, b"a" * (1024 * 1024 + 1)
    limits = Limits()
    assert Archive(zipped(x=just), "n", limits).read("x") == just
    with pytest.raises(UnsafeInput, match="'x' in 'n' inflates more than 100 times"):
        Archive(zipped(x=over), "n", limits).read("x")
    stored = zipped(zipfile.ZIP_STORED, x=over)
    assert Archive(stored, "n", Limits(ratio=1)).read("x") == over


def test_more_than_a_megabyte_of_ordinary_text_is_no_bomb():
    words = random.Random(1).choices(("keeper", "rowed", "lamp", "storm", "harbour", "dawn"), k=240_000)
    text = " ".join(words).encode()
    assert len(text) > 1024 * 1024
    assert Archive(zipped(x=text), "n", Limits()).read("x") == text


def test_sizes_and_counts_may_be_reached_and_not_passed():
    data = zipped(zipfile.ZIP_STORED, a=b"12345", b=b"12345")
    assert Archive(data, "n", Limits(member_bytes=5)).read("a") == b"12345"
    with pytest.raises(InputTooLarge):
        Archive(data, "n", Limits(member_bytes=4)).read("a")
    whole = Archive(data, "n", Limits(archive_bytes=10))
    assert whole.read("a") + whole.read("b") == b"1234512345"
    half = Archive(data, "n", Limits(archive_bytes=9))
    half.read("a")
    with pytest.raises(InputTooLarge):
        half.read("b")
    assert Archive(data, "n", Limits(members=2)).names == {"a", "b"}
    with pytest.raises(InputTooLarge, match="2 files, more than 1"):
        Archive(data, "n", Limits(members=1))


@pytest.mark.parametrize("name", ["/etc/passwd", "\\evil", "a/../../b", ".."])
def test_a_path_that_leaves_the_archive_is_unsafe(name: str):
    with pytest.raises(UnsafeInput, match="leaves the archive"):
        Archive(zipped(**{name: b"x"}), "n", Limits())


def test_names_with_dots_are_just_names():
    assert Archive(zipped(**{"a..b": b"x"}), "n", Limits()).names == {"a..b"}


def test_what_is_missing_damaged_or_locked_is_said():
    data = zipped(x=b"hello " * 100)
    with pytest.raises(CorruptFile, match="lacks 'y'"):
        Archive(data, "n", Limits()).read("y")
    bent = bytearray(data)
    bent[40] ^= 0xFF
    with pytest.raises(CorruptFile, match="'x' in 'n' is damaged"):
        Archive(bytes(bent), "n", Limits()).read("x")
    locked = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(signature) + at] |= 1
    with pytest.raises(EncryptedDocument):
        Archive(bytes(locked), "n", Limits()).read("x")


@pytest.mark.parametrize(
    ("base", "href", "member"),
    [
        ("OEBPS/content.opf", "a.html", "OEBPS/a.html"),
        ("OEBPS/content.opf", "../a%20b.html#part", "a b.html"),
        ("content.opf", "text/a.html", "text/a.html"),
        ("a/b/c.opf", "../../../../x", "x"),
        ("a/b.opf", "/root.html", "root.html"),
        ("a/b/c.opf", "../x", "a/x"),
    ],
)
def test_links_are_resolved_inside_the_archive(base: str, href: str, member: str):
    assert resolve(base, href) == member


# Files


def test_a_file_may_be_as_large_as_the_limit(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("x" * 1000)
    limits = Limits(file_bytes=1000)
    assert load(path, limits=limits).text == "x" * 1000
    with pytest.raises(InputTooLarge, match="larger than 0 MB"):
        load(b"x" * 1001, limits=limits)
    with pytest.raises(InputTooLarge, match=r"'.*a\.txt' is larger"):
        load(path, limits=Limits(file_bytes=999))
    with pytest.raises(InputTooLarge, match="2 MB"):
        load(b"x" * (2 * 1024 * 1024 + 1), limits=Limits(file_bytes=2 * 1024 * 1024))


def test_a_document_knows_its_name_its_type_and_its_bytes(tmp_path: Path):
    data = b"# Title\n\nSome words stand here."
    path = tmp_path / "My notes (1).md"
    path.write_bytes(data)
    document = load(path)
    assert (document.id, document.path, document.media_type) == ("My_notes_1_.md", str(path), "text/markdown")
    assert document.sha256 == hashlib.sha256(data).hexdigest()
    assert load(data).path == "-" and load(data).id == "stdin"
    assert load(data, path="other.txt").id == "other.txt"
    assert load(data, path="...").id == "document"
    assert load(path, path="shown").path == "shown"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.txt", b"Words.", "text/plain"),
        ("a.markdown", b"Words.", "text/markdown"),
        ("a.htm", b"<p>Words.</p>", "text/html"),
        ("a.txt", b"<!DOCTYPE html><p>Words.</p>", "text/html"),
        ("a.txt", b"<!-- c --> <?xml version='1.0'?> <html><p>Words.</p></html>", "text/html"),
        ("a.txt", b"<p>Words.</p>", "text/plain"),
        ("a.srt", b"1\n00:00:01,000 --> 00:00:02,000\nWords.\n", "application/x-subrip"),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\nWords.\n", "text/vtt"),
        ("a.srt", b"Words that are no subtitles.", "text/plain"),
        ("a.txt", b"1\n00:00:01,000 --> 00:00:02,000\nWords.\n", "text/plain"),
        ("a.json", b'{"words": "no transcript"}', "text/plain"),
    ],
)
def test_content_decides_what_a_file_is_then_its_name(name: str, data: bytes, kind: str):
    assert load(data, path=name).media_type == kind


@pytest.mark.parametrize(
    ("name", "data", "error", "says"),
    [
        ("a.docx", OLE, EncryptedDocument, "password"),
        ("a.doc", OLE, UnsupportedFormat, "old Office"),
        ("a.bin", b"PK\x05\x06" + b"\x00" * 18, UnsupportedFormat, "archive"),
        ("a.txt", b" \x00\t\r\n", EmptyDocument, "is empty"),
        ("a.html", b"<html><script>x</script></html>", EmptyDocument, "holds no text"),
        ("a.txt", b"abc" + b"\x01" * 20, UnsupportedFormat, "binary"),
    ],
)
def test_what_cannot_be_read_is_told_apart(name: str, data: bytes, error: type[InputError], says: str):
    with pytest.raises(error, match=says) as caught:
        load(data, path=name)
    assert name in caught.value.message


@pytest.mark.parametrize(("odd", "text"), [(9, True), (10, True), (11, False)])
def test_one_character_in_ten_may_be_odd(odd: int, text: bool):
    data = b"\x01" * odd + b"x" * (100 - odd)
    if text:
        assert load(data).text
    else:
        with pytest.raises(UnsupportedFormat):
            load(data)


def test_tabs_feeds_and_escapes_are_not_odd():
    assert load(b"\t\n\r\f\v\x1b\b" * 10 + b"x" * 10).text


@pytest.mark.parametrize(("before", "found"), [(1019, True), (1020, False)])
def test_a_pdf_may_begin_within_its_first_kilobyte(before: int, found: bool):
    data = b"x" * before + b"%PDF-1.7 and then nothing"
    if found:
        with pytest.raises(CorruptFile):
            load(data)
    else:
        assert load(data).media_type == "text/plain"


# Several


def tree(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"The text of {name}.")


def test_folders_are_searched_in_order_without_what_is_hidden_or_built(tmp_path: Path):
    tree(tmp_path, "b.txt", "a.txt", "sub/c.txt", ".hidden/x.txt", ".x.txt")
    tree(tmp_path, *(f"{name}/x.txt" for name in ("__pycache__", "node_modules", "venv", "dist", "build")))
    assert [document.id for document in load_all([tmp_path]).documents] == ["a.txt", "b.txt", "c.txt"]


def test_a_folder_may_hold_as_many_files_as_the_limit(tmp_path: Path):
    tree(tmp_path, "a.txt", "b.txt")
    assert len(load_all([tmp_path], limits=Limits(files=2)).documents) == 2
    (failure,) = load_all([tmp_path], limits=Limits(files=1)).failures
    assert isinstance(failure.error, InputTooLarge) and failure.path == str(tmp_path)


def test_equal_names_are_numbered_and_a_file_named_twice_is_loaded_once(tmp_path: Path):
    tree(tmp_path, "one/a.txt", "two/a.txt", "three/a.txt")
    paths = [tmp_path / name / "a.txt" for name in ("one", "two", "one", "three")]
    loaded = load_all(paths)
    assert [document.id for document in loaded.documents] == ["a.txt", "a.txt-2", "a.txt-3"]
    assert [document.path for document in loaded.documents] == [str(path) for path in (*paths[:2], paths[3])]


def test_a_failure_names_its_path_and_what_was_searched_for_may_be_no_text(tmp_path: Path):
    tree(tmp_path, "lib/a.txt")
    (tmp_path / "lib/picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    (tmp_path / "lib/empty.txt").touch()
    (tmp_path / "lib/old.DOC").write_bytes(OLE)
    (tmp_path / "lib/sheet.xlsx").write_bytes(b"PK\x05\x06" + b"\x00" * 18)
    (tmp_path / "lib/empty.pdf").touch()
    (tmp_path / "lib/bad.pdf").write_bytes(b"%PDF-1.7 nothing")
    given = [tmp_path / "lib", tmp_path / "lib/picture.png", tmp_path / "none.txt"]
    loaded = load_all(given)
    assert [document.id for document in loaded.documents] == ["a.txt"]
    assert {Path(failure.path).name: failure.error.code for failure in loaded.failures} == {
        "bad.pdf": "CorruptFile",
        "empty.pdf": "EmptyDocument",
        "old.DOC": "UnsupportedFormat",
        "sheet.xlsx": "UnsupportedFormat",
        "picture.png": "UnsupportedFormat",
        "none.txt": "InputNotFound",
    }


def test_standard_input_is_read_where_it_is_named():
    loaded = load_all(["-"], stdin=lambda: b"Said on standard input.")
    assert [(document.id, document.path) for document in loaded.documents] == [("stdin", "-")]
    with pytest.raises(UsageError):
        load_all(["-"])


def test_nothing_to_load_is_a_failure_unless_nothing_was_asked_for(tmp_path: Path):
    assert load_all([]).failures == () and load_all([]).documents == ()
    (failure,) = load_all([tmp_path]).failures
    assert isinstance(failure.error, EmptyDocument) and failure.path == str(tmp_path)


def test_names_that_no_system_can_open_are_unreadable_or_not_there(tmp_path: Path):
    with pytest.raises(InputUnreadable):
        load("a\x00b")
    with pytest.raises(InputNotFound, match=r"no file '.*none'"):
        load(tmp_path / "none")
    with pytest.raises(InputUnreadable, match="is a folder"):
        load(tmp_path)


def test_a_folder_that_is_refused_does_not_stop_what_comes_after_it(tmp_path: Path):
    tree(tmp_path, "many/a.txt", "many/b.txt", "one/c.txt")
    loaded = load_all([tmp_path / "many", tmp_path / "one"], limits=Limits(files=1))
    assert [document.id for document in loaded.documents] == ["c.txt"] and len(loaded.failures) == 1


def test_four_bytes_are_enough_for_utf16():
    assert decode(b"A\x00B\x00").text == "AB"


@pytest.mark.parametrize(("zeros", "wide"), [(3, False), (5, True)])
def test_four_in_ten_zeros_make_utf16_in_the_other_order_too(zeros: int, wide: bool):
    data = b"".join(bytes((0 if n < zeros else 66, 65 + n)) for n in range(10))
    assert (len(decode(data).text) == 10) is wide


def test_text_that_is_mostly_no_ascii_is_not_taken_for_windows_western():
    russian = "Смотритель зажёг маяк на закате и записал погоду в журнал. " * 20
    assert decode(russian.encode("cp1251")).text == russian
