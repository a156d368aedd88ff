"""PDFs made to hurt whoever opens them: read by a process that the system bounds, and refused with a reason."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from coa.documents import Limits, load, load_all
from coa.documents.pdf_process import pages_of
from coa.documents.pdf_text import page_texts
from coa.errors import CorruptFile, InputError, InputTooLarge, NoTextLayer, UnsafeInput
from tests.documents.measure import measured, reader_peak
from tests.documents.pdfs import (
    FONT,
    FORM,
    PAGE,
    PAGES,
    PLAIN,
    ROOT,
    TEXT,
    blanks,
    deep_pages,
    packed_stream,
    pdf,
    shared_pages,
    stream,
    with_object_stream,
)

MB = 1024 * 1024
ROOT_FOLDER = Path(__file__).parents[2]
HELD = b"2 0 3 %d " % (len(PAGES) + 1)
"""The head of an object stream that holds the tree of pages (2) and the page (3)."""


@pytest.mark.parametrize(
    ("objects", "outcome"),
    [
        ((ROOT, PAGES, PAGE, FONT, stream(TEXT)), "Hello there."),
        ((ROOT, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"), CorruptFile),
        ((ROOT, PAGES, b"<< /Type /Pages /Parent 2 0 R /Kids [2 0 R] /Count 1 >>"), CorruptFile),
        ((ROOT, PAGES[:-2] + b"/Parent 3 0 R >>", b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>"), InputError),
        ((ROOT, PAGES, PAGE, FONT, stream(TEXT + b"/X Do\n"), stream(b"/X Do\n" + TEXT, FORM)), "Hello there."),
        ((ROOT, PAGES, PAGE, FONT, b"[5 0 R 5 0 R]"), NoTextLayer),
        ((ROOT, PAGES, PAGE, FONT, b"5 0 R"), InputError),
        ((ROOT, PAGES, PAGE, FONT, b"<< /Length 5 0 R >>\nstream\n" + TEXT + b"endstream"), InputError),
    ],
    ids="whole kids-of-itself kids-in-a-ring parents-in-a-ring form-in-itself contents-of-itself itself long-as-itself".split(),  # noqa: E501, SIM905
)
def test_a_pdf_that_goes_in_circles_comes_to_an_end(objects: tuple[bytes, ...], outcome: str | type[InputError]):
    if isinstance(outcome, str):
        assert load(pdf(*objects)).text.startswith(outcome)
    else:
        with pytest.raises(outcome):
            load(pdf(*objects))


def test_a_tree_of_pages_may_be_deep_but_not_without_end():
    assert load(deep_pages(50)).text == "Hello there."
    with pytest.raises(InputTooLarge, match="depth"):
        load(deep_pages(5000))


def test_an_object_stream_is_read():
    inside = HELD + PAGES + b" " + PAGE
    data = with_object_stream(zlib.compress(inside), len(HELD), [2, 3], {1: ROOT, 4: FONT, 5: stream(TEXT)})
    assert load(data).text == "Hello there."


def bombs() -> dict[str, bytes]:
    """A gigabyte each: as the content of a page, deflated twice, and where the page itself is."""
    giga = blanks(1024)
    others = {1: ROOT, 4: FONT, 5: stream(TEXT)}
    return {
        "content": pdf(ROOT, PAGES, PAGE, FONT, packed_stream(giga)),
        "twice": pdf(ROOT, PAGES, PAGE, FONT, packed_stream(zlib.compress(giga), b"", b"[/FlateDecode /FlateDecode]")),
        "objects": with_object_stream(giga, len(HELD), [2, 3], others),
    }


@pytest.mark.slow
def test_a_gigabyte_in_a_stream_takes_no_more_than_fifty_megabytes(tmp_path: Path):
    plain, bomb = tmp_path / "plain.pdf", tmp_path / "bomb.pdf"
    plain.write_bytes(PLAIN)
    for kind, data in bombs().items():
        bomb.write_bytes(data)
        assert bomb.stat().st_size < 1.1 * MB
        said, more = measured(bomb, plain)
        reader = reader_peak(bomb, Limits()) - reader_peak(plain, Limits())
        print(kind, said, f"{more:.0f} MB here, {reader:.0f} MB in the reader")
        assert said == "InputTooLarge" and more <= 50 and 0 < reader <= 50


def test_a_stream_that_inflates_is_refused_within_the_same_memory(tmp_path: Path):
    plain, bomb = tmp_path / "plain.pdf", tmp_path / "bomb.pdf"
    plain.write_bytes(PLAIN)
    bomb.write_bytes(pdf(ROOT, PAGES, PAGE, FONT, packed_stream(blanks(96))))
    with pytest.raises(InputTooLarge, match="decompressing"):
        load(bomb)
    assert reader_peak(bomb, Limits()) - reader_peak(plain, Limits()) <= 50


def test_a_stream_that_says_it_is_endless_is_no_longer_than_its_file():
    endless = stream(TEXT).replace(b"/Length ", b"/Length 99999999999")
    with pytest.raises(InputError):
        load(pdf(ROOT, PAGES, PAGE, FONT, endless))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_what_the_parser_makes_of_a_small_stream_is_bounded_by_the_system():
    """Every six bytes of it become objects of some hundred: no limit on bytes knows."""
    data = pdf(ROOT, PAGES, PAGE, FONT, stream(b"0 0 m\n" * 300_000 + TEXT))
    with pytest.raises(InputTooLarge, match="takes more than 60 MB of memory to read"):
        load(data, limits=Limits(pdf_memory=60 * MB))


@pytest.mark.slow
def test_one_page_that_takes_too_long_is_stopped_within_it():
    data = pdf(ROOT, PAGES, PAGE, FONT, stream(b"0 0 m\n" * 600_000 + TEXT))
    with pytest.raises(InputTooLarge, match=r"takes more than 0\.5 s to read"):
        load(data, limits=Limits(pdf_seconds=0.5))


def test_the_rest_of_a_folder_goes_on(tmp_path: Path):
    (tmp_path / "a.pdf").write_bytes(PLAIN)
    (tmp_path / "b.pdf").write_bytes(pdf(ROOT, PAGES, PAGE, FONT, packed_stream(blanks(48))))
    (tmp_path / "c.pdf").write_bytes(PLAIN)
    found = load_all([tmp_path])
    assert [document.id for document in found.documents] == ["a.pdf", "c.pdf"]
    (failure,) = found.failures
    assert (
        failure.path.endswith("b.pdf") and isinstance(failure.error, InputTooLarge) and "Limits" in failure.error.hint
    )


def test_one_content_for_many_pages_is_a_bomb_by_what_it_says():
    with pytest.raises(UnsafeInput, match="times as much text"):
        load(shared_pages(30, TEXT.replace(b"there", b"t" * 9000) * 20), limits=Limits(ratio=20))


def test_one_content_for_many_pages_is_a_bomb_by_the_time_it_takes():
    with pytest.raises(InputTooLarge, match=r"takes more than 0\.02 s"):
        load(shared_pages(40, b"0 0 m\n" * 400 + TEXT), limits=Limits(pdf_seconds=0.02))


def test_a_reader_that_died_or_babbles_is_a_damaged_file():
    for returncode, said in (
        (-11, b""),
        (0, b"not json"),
        (0, b"[]"),
        (1, b'{"pages": ["half"]}'),
        (0, b'{"error": "X"}'),
    ):
        with pytest.raises(CorruptFile, match="its reader ended with"):
            pages_of(returncode, said, "x.pdf", Limits())
    assert pages_of(0, b'{"pages": ["a", "b"]}', "x.pdf", Limits()) == ["a", "b"]


def test_where_no_process_may_be_started_it_says_so():
    """No file may be opened any more, and so no pipe to a reader."""
    code = (
        "import resource\nfrom coa import errors\nfrom coa.documents import load\n"
        "from tests.documents.pdfs import PLAIN\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "try:\n    load(PLAIN)\nexcept errors.InputUnreadable as error:\n    print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT_FOLDER, capture_output=True, text=True, check=True)
    assert "a process of their own" in done.stdout


def test_the_reader_in_this_process_says_the_same():
    assert page_texts(PLAIN, Limits()) == ["Hello there."]
    with pytest.raises(InputTooLarge):
        page_texts(PLAIN, Limits(pages=0))
    with pytest.raises(CorruptFile):
        page_texts(PLAIN[:200], Limits())
