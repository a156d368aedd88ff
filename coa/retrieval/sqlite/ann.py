"""FAISS over the vectors of a large store: a file that is built in one go, mapped, and never changed.

Adding to a mapped index ends the process (a C++ exception that Python never sees), so new vectors are not added: they
are compared one by one until the next compaction. Candidates are scored again with their exact vectors; codes of 8 bits
(``SQ8``) choose them, because product quantisation loses a third of the nearest at this size.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from coa.errors import UnusableIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["ivf", "hnsw"]

_BLOCK = 1 << 16
_A_LIST = 39
"""FAISS wants as many training vectors for each list of an inverted file."""
_TRAIN_A_LIST = 64
_PROBES = 96
"""Lists looked at: of a million vectors in 2,000 lists, 32 found .966 of the nearest ten, 64 .983 and 96 all."""
_LINKS = 16
_BEAM = 128


def available() -> bool:
    """Whether the extra ``faiss`` is installed; it is not imported."""
    return find_spec("faiss") is not None


def build(path: Path, matrix: NDArray[np.float32], kind: Kind) -> None:
    """Write an index of all rows: inverted lists or a navigable graph, inner product, 8 bits a dimension."""
    faiss = _faiss()
    count, dimensions = matrix.shape
    lists = max(1, min(round(2 * count**0.5), count // _A_LIST))
    description = f"IVF{lists},SQ8" if kind == "ivf" else f"HNSW{_LINKS}_SQ8"
    index = faiss.index_factory(dimensions, description, faiss.METRIC_INNER_PRODUCT)
    step = max(1, count // (_TRAIN_A_LIST * lists))
    index.train(_copy(matrix[::step]))
    for at in range(0, count, _BLOCK):
        index.add(_copy(matrix[at : at + _BLOCK]))
    faiss.write_index(index, str(path))


class Approximate:
    """A mapped file of `build`; rows are numbered as in the matrix it was built from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        faiss = _faiss()
        try:
            self._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise UnusableIndex(
                f"{path.name!r} is damaged or gone: {str(error)[:120]}", hint="Build it again: coa index ... --compact"
            ) from None
        self.count = int(self._index.ntotal)

    def nearest(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        without: NDArray[np.int64] | None = None,
        only: NDArray[np.int64] | None = None,
    ) -> NDArray[np.int64]:
        """About the ``k`` nearest rows, in no order that counts, ``without`` some, or ``only`` some."""
        faiss = _faiss()
        selector: Any = None
        if only is not None:
            bits = _bitmap(only, self.count)
            selector = faiss.IDSelectorBitmap(bits)
        elif without is not None and len(without):
            excluded = faiss.IDSelectorBatch(without)
            selector = faiss.IDSelectorNot(excluded)
        if hasattr(self._index, "nprobe"):
            parameters = faiss.SearchParametersIVF(nprobe=_PROBES, sel=selector)
        else:
            parameters = faiss.SearchParametersHNSW(efSearch=max(_BEAM, k), sel=selector)
        _, rows = self._index.search(vector[None, :], min(k, self.count), params=parameters)
        return rows[0][rows[0] >= 0]


def _bitmap(rows: NDArray[np.int64], count: int) -> NDArray[np.uint8]:
    import numpy as np

    chosen = np.zeros(count, dtype=bool)
    chosen[rows] = True
    return np.packbits(chosen, bitorder="little")


def _copy(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return np.array(rows, dtype=np.float32, order="C")


def _faiss() -> Any:
    # faiss ships no types: it is handled as Any here and nowhere else.
    return import_module("faiss")
