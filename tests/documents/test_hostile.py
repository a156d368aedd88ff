"""Files made to hurt whoever opens them: refused with a reason, and without taking the machine along."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from coa.documents import Limits, load
from coa.errors import CorruptFile, InputError, InputTooLarge, NoTextLayer, UnsafeInput

MB = 1024 * 1024
MEASURED = """
import json, resource, sys
from coa.documents import load
from coa.errors import InputError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for warm in sys.argv[2:]:
    load(warm)
before, said = peak(), "loaded"
try:
    load(sys.argv[1])
except InputError as error:
    said = error.code
print(json.dumps([said, peak() - before]))
"""


def measured(path: Path, *warm: Path) -> tuple[str, float]:
    """What became of a file, and how many megabytes more it took at its peak, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", MEASURED, path, *warm], capture_output=True, text=True, check=True)
    said, more = json.loads(done.stdout)
    return said, more


def docx(path: Path, body: bytes) -> Path:
    head = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("word/document.xml", head + body + b"</w:t></w:r></w:p></w:body></w:document>")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return docx(tmp_path / "small.docx", b"Hello there.")


def test_a_zip_bomb_takes_no_more_than_fifty_megabytes(tmp_path: Path, small: Path):
    bomb = docx(tmp_path / "bomb.docx", b"A" * (96 * MB))
    assert bomb.stat().st_size < MB // 8
    said, more = measured(bomb, small)
    assert said == "UnsafeInput" and more <= 50


def test_a_header_that_lies_about_the_size_does_not_help_a_bomb(tmp_path: Path, small: Path):
    bomb = docx(tmp_path / "bomb.docx", b"A" * (64 * MB))
    data = bytearray(bomb.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    for at in (24, -(len(data) - directory) + 24 if False else directory + 24):
        if at >= directory:
            data[at : at + 4] = struct.pack("<I", 900)
    bomb.write_bytes(data)
    said, more = measured(bomb, small)
    assert said in ("CorruptFile", "UnsafeInput") and more <= 50


def test_a_bomb_in_a_bomb_is_no_document(tmp_path: Path):
    inner = docx(tmp_path / "inner.docx", b"A" * (8 * MB)).read_bytes()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(20):
            archive.writestr(f"{n}.zip", inner)
    with pytest.raises(InputError):
        load(out.getvalue())


def test_many_members_and_large_ones_are_too_large(small: Path):
    limits = Limits(members=3, ratio=10_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n in range(4):
            archive.writestr(f"{n}.txt", "x")
    with pytest.raises(InputTooLarge):
        load(out.getvalue(), limits=limits)
    with pytest.raises(InputTooLarge):
        load(small, limits=Limits(member_bytes=100))
    with pytest.raises(InputTooLarge):
        load(small, limits=Limits(archive_bytes=100))


# PDF


FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
TEXT = b"BT /F1 12 Tf 72 700 Td (Hello there.) Tj ET\n"
ROOT = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 5 0 R "
    b"/Resources << /Font << /F1 4 0 R >> /XObject << /X 6 0 R >> >> >>"
)


def pdf(*objects: bytes) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    offsets: list[int] = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    return bytes(out)


def stream(data: bytes, more: bytes = b"") -> bytes:
    packed = zlib.compress(data, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n" % (len(packed), more) + packed + b"\nendstream"


FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 4 0 R >> /XObject << /X 6 0 R >> >>"


@pytest.mark.parametrize(
    ("objects", "outcome"),
    [
        ((ROOT, PAGES, PAGE, FONT, stream(TEXT)), "Hello there."),
        ((ROOT, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"), CorruptFile),
        ((ROOT, PAGES, b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>"), CorruptFile),
        ((ROOT, PAGES[:-2] + b"/Parent 3 0 R >>", b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>"), InputError),
        ((ROOT, PAGES, PAGE, FONT, stream(TEXT + b"/X Do\n"), stream(b"/X Do\n" + TEXT, FORM)), "Hello there."),
        ((ROOT, PAGES, PAGE, FONT, b"[5 0 R 5 0 R]"), NoTextLayer),
    ],
    ids="whole kids-of-itself kids-in-a-ring parents-in-a-ring form-in-itself contents-of-itself".split(),  # noqa: SIM905
)
def test_a_pdf_that_goes_in_circles_comes_to_an_end(objects: tuple[bytes, ...], outcome: str | type[InputError]):
    if isinstance(outcome, str):
        assert load(pdf(*objects)).text.startswith(outcome)
    else:
        with pytest.raises(outcome):
            load(pdf(*objects))


def test_a_stream_that_inflates_without_end_is_refused_within_the_same_memory(tmp_path: Path):
    plain, bomb = tmp_path / "plain.pdf", tmp_path / "bomb.pdf"
    plain.write_bytes(pdf(ROOT, PAGES, PAGE, FONT, stream(TEXT)))
    bomb.write_bytes(pdf(ROOT, PAGES, PAGE, FONT, stream(TEXT + b" " * (96 * MB))))
    said, more = measured(bomb, plain)
    assert said == "CorruptFile" and more <= 100


def shared_pages(count: int, content: bytes) -> bytes:
    """Many pages, and one content for all of them."""
    kids = b" ".join(b"%d 0 R" % number for number in range(5, count + 5))
    page = PAGE.replace(b"/Contents 5 0 R", b"/Contents 4 0 R").replace(b"/F1 4 0 R", b"/F1 3 0 R")
    tree = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, count)
    return pdf(ROOT, tree, FONT, stream(content), *[page] * count)


def test_one_content_for_many_pages_is_a_bomb_by_what_it_says():
    with pytest.raises(UnsafeInput, match="times as long"):
        load(shared_pages(30, TEXT.replace(b"there", b"t" * 9000) * 20), limits=Limits(ratio=20))


def test_one_content_for_many_pages_is_a_bomb_by_the_time_it_takes():
    with pytest.raises(InputTooLarge, match=r"take more than 0\.02 s"):
        load(shared_pages(40, b"0 0 m\n" * 400 + TEXT), limits=Limits(pdf_seconds=0.02))


# Text


@pytest.mark.parametrize("text", ["a", "ab cd ", "\u5b57", "{{ 7*7 }}", "<|endoftext|>"])
def test_a_long_line_of_anything_is_read_in_little_memory(tmp_path: Path, text: str):
    small, long = tmp_path / "small.txt", tmp_path / "long.txt"
    small.write_text("Hello there. " * 20)
    long.write_text(text * (8 * MB // len(text.encode())))
    said, more = measured(long, small)
    assert said == "loaded" and more <= 8 * 8
