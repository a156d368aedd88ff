"""How alike stretches of text are, by their rare words: no model, no download, constant memory a stretch.

Vectors of tf-idf weights, hashed to a fixed width (Weinberger et al., 2009) and of length one: a product is a cosine.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from zlib import crc32

from coa.retrieval.terms import terms

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

    Vectors = NDArray[float32]

_WIDTH = 4096

Measure = Callable[[Sequence[str]], "Vectors"]
"""Makes a row of length one of each text, so that the product of two rows says how alike the texts are."""


def vectors(texts: Sequence[str]) -> Vectors:
    """One row of `_WIDTH` weights for each text; rows of texts without content words are zero."""
    import numpy as np

    bags = [Counter(terms(text)) for text in texts]
    frequency = Counter(term for bag in bags for term in bag)
    rows = np.zeros((len(texts), _WIDTH), dtype=np.float32)
    for row, bag in zip(rows, bags, strict=True):
        for term, count in bag.items():
            rarity = math.log(1 + len(texts) / frequency[term])
            row[crc32(term.encode()) % _WIDTH] += (1 + math.log(count)) * rarity
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=rows, where=lengths > 0)


def spanning_tree(rows: Vectors, root: int) -> tuple[tuple[int, float], ...]:
    """The maximum spanning tree of all likenesses (Prim, 1957): each row's parent and their cosine, ``root`` its own.

    Takes one product of the matrix with a row at a time, never a matrix of all pairs.
    """
    import numpy as np

    parent = np.full(len(rows), root)
    best = rows @ rows[root]
    outside = np.ones(len(rows), dtype=bool)
    outside[root] = False
    while outside.any():
        new = int(np.argmax(np.where(outside, best, -np.inf)))
        outside[new] = False
        near = rows @ rows[new]
        closer = outside & (near > best)
        best[closer], parent[closer] = near[closer], new
    best[root] = 1.0
    return tuple((int(p), float(b)) for p, b in zip(parent, best, strict=True))
