"""Files made to hurt whoever opens them: refused with a reason, and without taking the machine along."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import pytest

from coa.documents import Limits, load
from coa.errors import InputError, InputTooLarge
from tests.documents.measure import measured

MB = 1024 * 1024


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


# Text


@pytest.mark.parametrize("text", ["a", "ab cd ", "\u5b57", "{{ 7*7 }}", "<|endoftext|>"])
def test_a_long_line_of_anything_is_read_in_little_memory(tmp_path: Path, text: str):
    small, long = tmp_path / "small.txt", tmp_path / "long.txt"
    small.write_text("Hello there. " * 20)
    long.write_text(text * (8 * MB // len(text.encode())))
    said, more = measured(long, small)
    assert said == "loaded" and more <= 8 * 8
