"""Characters sorted into a few classes, by which the estimate knows what they cost."""

from __future__ import annotations

import string
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

LOWER = 0
"""``a`` to ``z`` are 26 classes, from this one on: which of them follow one another tells words from gibberish."""

(UPPER, DIGIT, SPACE, NEWLINE, TAB, DASH, BRACKET, QUOTE, STOP, HANGUL_RARE, CONTROL) = range(26, 37)
(ACCENTED, LATIN, GREEK, CYRILLIC, HEBREW, ARABIC, INDIC, INDIC_RARE, THAI, HANGUL, KANA) = range(37, 48)
(HAN, HAN_RARER, HAN_RARE, WIDE, DOTS, TWO_BYTES, THREE_BYTES, FOUR_BYTES) = range(48, 56)
CLASSES = 64

_ASCII = (
    (string.ascii_uppercase, UPPER),
    (string.digits, DIGIT),
    (" ", SPACE),
    ("\n\r", NEWLINE),
    ("\t", TAB),
    ("-=*_#~+./\\", DASH),
    ("()[]{}<>|&$@%^`", BRACKET),
    ("\"'", QUOTE),
    (",;:!?", STOP),
)
_BLOCKS = (
    (0x0080, 0x07FF, TWO_BYTES),
    (0x0800, 0xFFFF, THREE_BYTES),
    (0x10000, 0x10FFFF, FOUR_BYTES),
    (0x00C0, 0x00FF, ACCENTED),
    (0x0100, 0x024F, LATIN),
    (0x1E00, 0x1EFF, LATIN),
    (0x0386, 0x03CE, GREEK),
    (0x0400, 0x045F, CYRILLIC),
    (0x05D0, 0x05EA, HEBREW),
    (0x0620, 0x0652, ARABIC),
    (0x0900, 0x0DFF, INDIC_RARE),
    (0x0900, 0x09FF, INDIC),
    (0x0E01, 0x0E5B, THAI),
    (0x2010, 0x2027, DOTS),
    (0x3040, 0x30FF, KANA),
    (0x3000, 0x3011, WIDE),
    (0xFF01, 0xFF5E, WIDE),
    (0x3400, 0x4DBF, HAN_RARE),
    (0x4E00, 0x9FFF, HAN_RARE),
    (0xAC00, 0xD7A3, HANGUL_RARE),
)
_BY_USE = (
    ("gb2312", (0xD8, 0xF8), (0xA1, 0xFF), HAN_RARER),
    ("euc_jp", (0xD0, 0xF5), (0xA1, 0xFF), HAN_RARER),
    ("big5", (0xA4, 0xC7), (0x40, 0xFF), HAN),
    ("gb2312", (0xB0, 0xD8), (0xA1, 0xFF), HAN),
    ("euc_jp", (0xB0, 0xD0), (0xA1, 0xFF), HAN),
    ("euc_kr", (0xB0, 0xC9), (0xA1, 0xFF), HANGUL),
)
"""Old character sets list the common characters first: their levels tell frequent from rare without a dictionary."""


@cache
def class_of() -> NDArray[np.uint8]:
    """The class of every code point."""
    import numpy as np

    table = np.full(0x110000, CONTROL, dtype=np.uint8)
    for first, last, kind in _BLOCKS:
        table[first : last + 1] = kind
    for encoding, leads, trails, kind in _BY_USE:
        table[[point for point in _decoded(encoding, leads, trails) if 0x4E00 <= point <= 0xD7A3]] = kind
    for characters, kind in _ASCII:
        table[[ord(character) for character in characters]] = kind
    table[ord("a") : ord("z") + 1] = np.arange(LOWER, LOWER + 26)
    return table


def _decoded(encoding: str, leads: tuple[int, int], trails: tuple[int, int]) -> Iterable[int]:
    pairs = (bytes((lead, trail)) for lead in range(*leads) for trail in range(*trails))
    return map(ord, (text for pair in pairs if len(text := pair.decode(encoding, "ignore")) == 1))
