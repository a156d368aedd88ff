"""A window of terms as a sparse vector: BM25's saturated counts, for servers that multiply by the inverse frequency.

The length of an average window is a constant: windows are cut to one size, and a server cannot be asked for the mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from zlib import crc32

from coa.retrieval.base import Unit
from coa.retrieval.windows import NEAR, OWN, windows

_K1, _B, _AVERAGE = 1.2, 0.75, 150.0

Sparse = dict[int, float]


def vectors(units: Sequence[Unit]) -> Iterable[Sparse]:
    """The sparse vector of each unit of one document, over its own terms and those of the units beside it."""
    for own, near in windows(units):
        yield _saturated(own, near)


def query(words: Iterable[str]) -> Sparse:
    """The sparse vector of a query."""
    return {_number(word): 1.0 for word in words}


def _saturated(own: Sequence[str], near: Sequence[str]) -> Sparse:
    counts: Counter[int] = Counter()
    for word in own:
        counts[_number(word)] += OWN
    for word in near:
        counts[_number(word)] += NEAR
    norm = _K1 * (1 - _B + _B * (len(own) + len(near)) / _AVERAGE)
    return {number: count * (_K1 + 1) / (count + norm) for number, count in sorted(counts.items())}


def _number(word: str) -> int:
    return crc32(word.encode("utf-8", "surrogatepass"))
