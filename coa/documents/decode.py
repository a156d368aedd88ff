"""Bytes to text: which encoding, what had to be replaced, and where each character's bytes are."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from coa.documents.document import SourceMap

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 256 * 1024
_RUN_CHARS = 4096
_BREAKS = re.compile(r"\r\n?")
_UNUSABLE = re.compile(r"[\x00\ud800-\udfff]")
_NOT_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_MOSTLY_ASCII = 0.15
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Normalised text, its byte map, and what the reader should know about it."""

    text: str
    source_map: SourceMap
    warnings: tuple[str, ...]


def decode(data: bytes) -> Decoded:
    """Decode a text file: a byte-order mark wins, then UTF-8, then UTF-16 without a mark, then the best guess."""
    encoding, start = _encoding(data)
    text = data[start:].decode(encoding, "replace")
    warnings: list[str] = []
    if replaced := text.count(_REPLACEMENT) - (_own(data) if encoding == "utf-8" else 0):
        warnings.append(f"{replaced} invalid byte sequences were replaced ({encoding})")
    if encoding not in ("utf-8", "ascii") and not start:
        warnings.append(f"the encoding is not declared; read as {encoding}")
    raw = text
    if unusable := len(_UNUSABLE.findall(raw)):
        warnings.append(f"{unusable} NUL characters or lone surrogates were replaced")
    text = _BREAKS.sub("\n", _UNUSABLE.sub(_REPLACEMENT, raw))
    exact = raw.encode(encoding, "surrogatepass") == data[start:]
    source_map = _map(raw, encoding, start) if exact else SourceMap()
    return Decoded(text=text, source_map=source_map, warnings=tuple(warnings))


def _encoding(data: bytes) -> tuple[str, int]:
    """The encoding, and how many bytes its mark takes."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return encoding, len(mark)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _wide(data) or _guess(data), 0
    return _wide(data) or "utf-8", 0


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark shows as a NUL in nearly every other byte."""
    sample = data[:_SAMPLE]
    if len(sample) < 4:
        return None
    for encoding, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if zeros.count(0) > 0.4 * len(zeros) and sample.count(0) < 0.6 * len(sample):
            return encoding
    return None


def _guess(data: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    as_utf8 = data[:_SAMPLE].decode("utf-8", "replace")
    broken = as_utf8.count(_REPLACEMENT) - _own(data[:_SAMPLE])
    whole = sum(char > "\x7f" for char in as_utf8) - broken
    if best is None or whole > broken:
        return "utf-8"
    if broken < _MOSTLY_ASCII * len(as_utf8) and not _NOT_CP1252.search(data[:_SAMPLE]):
        return "cp1252"
    return best.encoding.replace("_", "-")


def _own(data: bytes) -> int:
    """Replacement characters that the author wrote."""
    return data.count(_REPLACEMENT.encode())


def _map(raw: str, encoding: str, start: int) -> SourceMap:
    """A break point wherever a CR was folded away, and at least every few thousand characters."""
    offsets, bytes_at = [0], [start]
    size = start
    folded = 0
    position = 0
    for cut in _cuts(raw):
        size += len(raw[position:cut].encode(encoding, "surrogatepass"))
        folded += raw[position:cut].count("\r\n")
        offsets.append(cut - folded)
        bytes_at.append(size)
        position = cut
    return SourceMap(offsets=tuple(offsets), bytes_at=tuple(bytes_at), encoding=encoding)


def _cuts(raw: str) -> list[int]:
    cuts = {match.end() for match in re.finditer("\r\n", raw)}
    cuts.update(cut for cut in range(_RUN_CHARS, len(raw), _RUN_CHARS) if raw[cut - 1 : cut + 1] != "\r\n")
    return sorted(cuts)
