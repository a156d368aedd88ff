"""PDFs put together by hand, object by object, so that each can be wrong in its own way."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
TEXT = b"BT /F1 12 Tf 72 700 Td (Hello there.) Tj ET\n"
ROOT = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 5 0 R "
    b"/Resources << /Font << /F1 4 0 R >> /XObject << /X 6 0 R >> >> >>"
)
FORM = b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F1 4 0 R >> /XObject << /X 6 0 R >> >>"

_MB = 1024 * 1024


def pdf(*objects: bytes) -> bytes:
    """A file of these objects, numbered from 1, the first of them its root."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = _put(out, dict(enumerate(objects, 1)))
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets.values())
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start)
    return bytes(out)


def stream(data: bytes, more: bytes = b"") -> bytes:
    """An object that holds a deflated stream."""
    return packed_stream(zlib.compress(data, 9), more)


def packed_stream(packed: bytes, more: bytes = b"", filters: bytes = b"/FlateDecode") -> bytes:
    """An object that holds a stream which was deflated before."""
    return b"<< /Length %d /Filter %s %s >>\nstream\n" % (len(packed), filters, more) + packed + b"\nendstream"


def blanks(megabytes: int) -> bytes:
    """Deflated blanks: a thousandth of what they inflate to."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(b" " * _MB) for _ in range(megabytes)), packer.flush()])


def with_object_stream(packed: bytes, first: int, held: Sequence[int], others: Mapping[int, bytes]) -> bytes:
    """A file whose objects `held` are inside one object stream, the last object but one of the file.

    Args:
        packed: The deflated content of the object stream.
        first: Where the objects begin in it, after their numbers and places.
        held: The numbers of the objects in it.
        others: The objects beside it, by number.
    """
    out = bytearray(b"%PDF-1.7\n")
    holder = max(*held, *others) + 1
    body = packed_stream(packed, b"/Type /ObjStm /N %d /First %d" % (len(held), first))
    offsets = _put(out, {**others, holder: body})
    table = holder + 1
    offsets[table] = len(out)
    rows = {0: (0, 0, 65535), **{number: (1, offset, 0) for number, offset in offsets.items()}}
    rows |= {number: (2, holder, place) for place, number in enumerate(held)}
    data = b"".join(
        kind.to_bytes(1) + place.to_bytes(4) + last.to_bytes(2) for _, (kind, place, last) in sorted(rows.items())
    )
    more = b"/Type /XRef /W [1 4 2] /Size %d /Root 1 0 R" % (table + 1)
    _put(out, {table: stream(data, more)})
    return bytes(out + b"startxref\n%d\n%%%%EOF" % offsets[table])


def shared_pages(count: int, content: bytes) -> bytes:
    """Many pages, and one content for all of them."""
    kids = b" ".join(b"%d 0 R" % number for number in range(5, count + 5))
    page = PAGE.replace(b"/Contents 5 0 R", b"/Contents 4 0 R").replace(b"/F1 4 0 R", b"/F1 3 0 R")
    tree = b"<< /Type /Pages /Kids [%b] /Count %d >>" % (kids, count)
    return pdf(ROOT, tree, FONT, stream(content), *[page] * count)


def deep_pages(depth: int) -> bytes:
    """One page below so many others of the tree."""
    levels = [b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % number for number in range(6, depth + 5)]
    page = PAGE.replace(b"/Contents 5 0 R", b"/Contents 3 0 R")
    return pdf(ROOT, PAGES.replace(b"3 0 R", b"5 0 R"), stream(TEXT), FONT, *levels, page)


def _put(out: bytearray, objects: Mapping[int, bytes]) -> dict[int, int]:
    """Append objects; where each of them begins."""
    offsets: dict[int, int] = {}
    for number, body in objects.items():
        offsets[number] = len(out)
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    return offsets


PLAIN = pdf(ROOT, PAGES, PAGE, FONT, stream(TEXT))
