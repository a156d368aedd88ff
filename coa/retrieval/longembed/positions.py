"""Where a token of a long text pretends to stand: the formulas of LongEmbed (arXiv 2404.12096, section 4).

``native`` is the length that a model was made for, in tokens; ``n`` that of the text. Inside the native length every
formula gives the positions as they are: how far a text is stretched follows from its own length, not from a target.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coa.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NTK = {1: 1.0, 2: 3.0, 4: 5.0, 8: 10.0}
"""The paper's factors of the RoPE base for texts of 1, 2, 4 and 8 native lengths."""
_NTK_BEYOND = 1.25
_SELF_EXTEND_SHARE = 8


def stretch(n: int, native: int) -> int:
    """``s = ceil(n / native)``: how many native lengths a text takes."""
    return max(1, -(-n // native))


def grouped(n: int, s: int) -> NDArray[np.int64]:
    """Grouped positions: ``s`` neighbours share one, ``id // s``."""
    import numpy as np

    return np.arange(n) // s


def recurrent(n: int, native: int) -> NDArray[np.int64]:
    """Recurrent positions: they begin again after each native length, ``id % native``."""
    import numpy as np

    return np.arange(n) % native


def interpolated(n: int, s: int) -> NDArray[np.float64]:
    """Interpolated positions: ``id / s``, for models that take fractions (RoPE)."""
    import numpy as np

    return np.arange(n) / s


def interpolated_rows(table: NDArray[np.float32], n: int, s: int) -> NDArray[np.float32]:
    """Rows of a table of learned positions for interpolated ones: ``p = id / s`` lies between rows ``a`` and ``a + 1``.

    Args:
        table: Shape ``(native, dimensions)``; beyond its last row that row counts.
        n: How many rows to make.
        s: How far they are stretched; with 1 they are the table's own.
    """
    import numpy as np

    place = np.arange(n) / s
    below = np.minimum(place.astype(np.int64), len(table) - 1)
    above = np.minimum(below + 1, len(table) - 1)
    weight = (place - np.floor(place)).astype(np.float32)[:, None]
    return ((1 - weight) * table[below] + weight * table[above]).astype(np.float32)


def ntk_factor(s: int) -> float:
    """By how much RoPE's base grows: 3, 5, 10 for 2, 4, 8 native lengths (between, the next), then 1.25 a length."""
    power = 1 << max(0, s - 1).bit_length()
    return _NTK.get(power, _NTK_BEYOND * s)


def ntk_frequencies(frequencies: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """RoPE's ``base ** (-2j / d)`` for a base ``factor`` times larger; ``frequencies`` are the ``d / 2`` it has."""
    import numpy as np

    half = len(frequencies)
    return (frequencies * factor ** (-np.arange(half) / half)).astype(np.float32)


def self_extend_distance(r: int, group: int, window: int) -> int:
    """How far apart tokens at distance ``r`` seem under SelfExtend (arXiv 2401.01325): exact near by, grouped beyond.

    ``r`` if it is below ``window``, else ``r // group + window - window // group``; the same for negative distances.
    """
    if abs(r) < window:
        return r
    far = abs(r) // group + window - window // group
    return far if r > 0 else -far


def self_extend(n: int, native: int) -> tuple[int, int]:
    """``(group, window)`` of SelfExtend: the smallest groups that keep a text of ``n`` tokens within the native length.

    The window is an eighth of it, as the paper's 64 of 512 (with 9 to a group for 4,096 tokens).

    Raises:
        UsageError: the native length is too short to be divided.
    """
    window = native // _SELF_EXTEND_SHARE
    if window < 1:
        raise UsageError(f"a native length of {native} is too short for SelfExtend", hint="Use parallel windows: +pcw.")
    group = 1
    while group < n and abs(self_extend_distance(n - 1, group, window)) > native:
        group += 1
    return group, window


def attention_factor(n: int, native: int) -> float:
    """What queries are multiplied by in a long text: ``max(1, ln n / ln native)``."""
    return max(1.0, math.log(n) / math.log(native)) if n > 1 and native > 1 else 1.0


def parallel_windows(n: int, size: int) -> list[tuple[int, int]]:
    """Parallel context windows: ``(start, end)`` one behind the other, the last one moved back to be full."""
    if n <= size:
        return [(0, n)]
    starts = [*range(0, n - size, size), n - size]
    return [(start, start + size) for start in starts]


def overlapping_windows(n: int, size: int, overlap: int) -> list[tuple[int, int, int]]:
    """Late chunking's windows: ``(start, end, first)``, of which the states from ``first`` on are used.

    Each window but the first begins ``overlap`` tokens early, and those are thrown away.

    Raises:
        UsageError: the overlap is no shorter than a window.
    """
    if not 0 <= overlap < size:
        raise UsageError(f"windows of {size} tokens cannot overlap by {overlap}", hint="Give a shorter overlap.")
    found = [(0, min(n, size), 0)]
    while found[-1][1] < n:
        begin = found[-1][1]
        start = begin - overlap
        found.append((start, min(n, start + size), begin))
    return found
