"""An estimate of the number of tokens for models whose vocabulary is not at hand.

Every character costs something that depends on its class and on the character before it: a letter that often follows
another one is part of a longer token, a rare pair breaks one. The costs were fitted from above to the greatest count of
four byte-pair vocabularies (cl100k_base, o200k_base, DeepSeek's, an older one of Anthropic's) over some 10,000 samples:
prose, code, system messages in a hundred languages, random strings of every kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

from coa.tokens import classes
from coa.tokens.base import windows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STEP = 0.05
_PAIRS = (
    "3600kk0kfk0000k0800090k00k",
    "kk7301ikk0e0kk2jdk080ak00e",
    "0kbk06kd9c00ck00e000g9240b",
    "kkkk1kdkfifkkkdkkckkb0kg0g",
    "5k00c0kkk0kk02kc003kk0k00k",
    "ikkh00kk1kk0060kk0kk0kkk1k",
    "kd4k3ik0bkkkk4kkk4aekkkek5",
    "0kkk0bek0kk0h00kg0k0kkkk0h",
    "d00a6k8kkkk0300bk300k0khhk",
    "hkkk0kfk99kk8kkkjk0iihhkkk",
    "kkkc0j0kk0kgi0k9kk2kkkkkkk",
    "ekc000kk3000bd30kk660cjk0k",
    "7kkk0kkk0ke00k30hk0k7kk80k",
    "ak00000kgk505kf0kk000kk8ak",
    "h000k0akd3k000a0g0i0050h00",
    "0ik70k6kik000f009000dkk00k",
    "jhkkhkhkbgj0kfkckedf0khkci",
    "ckc70h0k2k0k0a01fbb0k20c08",
    "kkbk0fkkbkkkkk700d0030ck40",
    "kk0002k00kk4k010k31kkk1k0k",
    "g0070eaakkk021k0k400kkkdik",
    "5jka0c0k0ekkfkkkckkekjkk0j",
    "2kk45ka00ifck00kk00kke0ekd",
    "0c0k0kfk0kjj0kk0ah00kfhkkk",
    "kjdkkkkkkkkkgk00k18kkkkeki",
    "ekcckffckh5bkekaicfcg5kkkk",
)
"""Cost of a lower-case letter (column) after another one (row), a to z, in steps of 0.05 as digits of base 36."""

_LETTER_AFTER_SPACE = 0.4
_LETTER_AFTER_CAPITAL = 0.1
_LETTER_AFTER_OTHER = 0.79

_AFTER: Mapping[int, tuple[float, float, float, float]] = {
    classes.UPPER: (0.56, 0.18, 0.58, 1.33),
    classes.DIGIT: (1.6, 1.0, 1.0, 1.0),
    classes.SPACE: (0.5, 0.02, 0.5, 0.35),
    classes.NEWLINE: (0.92, 0.07, 0.5, 0.81),
    classes.TAB: (0.96, 0.12, 0.5, 0.35),
    classes.DASH: (0.35, 0.03, 0.5, 0.63),
    classes.BRACKET: (0.79, 0.02, 0.93, 0.55),
    classes.QUOTE: (0.35, 0.13, 0.63, 0.35),
    classes.STOP: (0.35, 0.12, 1.2, 0.84),
    classes.HANGUL_RARE: (2.7, 2.7, 2.7, 2.7),
    classes.CONTROL: (1.0, 1.0, 1.0, 1.0),
    classes.ACCENTED: (0.45, 0.82, 0.15, 1.5),
    classes.LATIN: (1.31, 2.69, 2.69, 1.53),
    classes.GREEK: (0.88, 1.29, 1.29, 1.96),
    classes.CYRILLIC: (0.45, 0.68, 0.68, 2.5),
    classes.HEBREW: (0.76, 1.23, 1.23, 1.51),
    classes.ARABIC: (0.84, 1.05, 1.05, 1.11),
    classes.INDIC: (1.51, 2.06, 2.06, 1.41),
    classes.INDIC_RARE: (4.0, 2.69, 2.69, 4.0),
    classes.THAI: (0.64, 1.95, 1.95, 0.81),
    classes.HANGUL: (1.73, 1.42, 1.42, 1.72),
    classes.KANA: (0.45, 1.5, 1.5, 0.6),
    classes.HAN: (0.97, 1.58, 1.58, 0.82),
    classes.HAN_RARER: (1.5, 0.83, 0.83, 3.03),
    classes.HAN_RARE: (2.9, 2.9, 2.9, 2.9),
    classes.WIDE: (0.58, 1.0, 0.6, 0.35),
    classes.DOTS: (1.45, 0.92, 1.0, 0.42),
    classes.TWO_BYTES: (2.0, 2.0, 2.0, 2.0),
    classes.THREE_BYTES: (3.0, 3.0, 3.0, 3.0),
    classes.FOUR_BYTES: (4.0, 4.0, 4.0, 4.0),
}
"""Cost of any other character: after a space, after itself, after another one of its class, after anything else."""


class EstimateCounter:
    """Estimates the number of tokens from the classes of the characters, for vocabularies of 100,000 tokens and more.

    Linear in the length of the text, with no vocabulary and no network.
    """

    label = "estimate"
    margin = 0.15

    def count(self, text: str) -> int:
        """The estimated number of tokens; seldom too low by more than ``margin`` beyond a few hundred characters."""
        return math.ceil(sum(map(_cost, windows(text))))


def _cost(text: str) -> float:
    import numpy as np

    points = np.frombuffer(("\n" + text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = classes.class_of()[points].astype(np.uint16)
    repeats = (points[1:] == points[:-1]).astype(np.uint16)
    codes = (repeats * classes.CLASSES + kinds[:-1]) * classes.CLASSES + kinds[1:]
    return float(_costs()[codes].sum(dtype=np.float64))


@cache
def _costs() -> NDArray[np.float32]:
    """The cost of a character by (is it repeated, class of the one before, its own class), flattened."""
    import numpy as np

    table = np.zeros((2, classes.CLASSES, classes.CLASSES), dtype=np.float32)
    for kind, (after_space, repeated, after_own, after_other) in _AFTER.items():
        table[:, :, kind] = after_other
        table[:, classes.SPACE, kind] = after_space
        table[:, kind, kind] = (after_own, repeated)
    letters = slice(classes.LOWER, classes.LOWER + 26)
    table[:, :, letters] = _LETTER_AFTER_OTHER
    table[:, classes.SPACE, letters] = _LETTER_AFTER_SPACE
    table[:, classes.UPPER, letters] = _LETTER_AFTER_CAPITAL
    table[:, letters, letters] = [[int(digit, 36) * _STEP for digit in row] for row in _PAIRS]
    return table.reshape(-1)
