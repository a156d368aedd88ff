"""Vectors to measure with: around centres of chance, or around real ones of MiniLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS, CENTRES = 384, 2_000
SPREAD = 0.6
"""Length of the noise on a real vector: its cosine to it is then .86."""
QUERIES = 200

Matrix = NDArray[np.float32]


def unit(rows: NDArray[np.floating]) -> Matrix:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class Source:
    """Vectors as many as are wanted, in blocks, and queries that are none of them.

    Args:
        kept: A file of `vectors.Kept`: each vector is one of its, with noise; queries are others of its, without. None
            takes clusters of chance, which flatter an approximate index.
    """

    def __init__(self, kept: Path | None) -> None:
        random = np.random.default_rng(0)
        if kept is None:
            self._bases = random.normal(size=(CENTRES, DIMENSIONS)).astype(np.float32)
            self._noise = 1.0
            near = self._bases[random.integers(CENTRES, size=QUERIES)]
            self.queries = unit(near + random.normal(size=near.shape))
            self.said = f"{CENTRES:,} centres of chance"
            return
        with np.load(kept) as found:
            rows = unit(found["vectors"][random.permutation(len(found["vectors"]))])
        self.queries, self._bases = rows[:QUERIES], rows[QUERIES:]
        self._noise = SPREAD / DIMENSIONS**0.5
        self.said = f"{len(self._bases):,} vectors of MiniLM, with noise; {QUERIES} others as queries"

    def block(self, number: int, size: int) -> Matrix:
        """Vectors of unit length, the same for the same number."""
        random = np.random.default_rng(number + 1)
        near = self._bases[random.integers(len(self._bases), size=size)]
        return unit(near + self._noise * random.normal(size=near.shape).astype(np.float32))

    def matrix(self, count: int) -> Matrix:
        return np.concatenate([self.block(at, min(10_000, count - at)) for at in range(0, count, 10_000)])
