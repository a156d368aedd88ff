"""Vectors in a file that only grows, read through a memory map: row ``slot`` is the vector of the unit with that slot.

Rows are written and synced before the transaction that counts them commits; what a killed writer left behind the last
counted row is overwritten by the next one. Compacting writes a new file and takes the old one away; a reader that has
the old one mapped keeps it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from coa.errors import StorageFailed, UnusableIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FLOAT = 4


class VectorFile:
    """One generation of a folder's vectors, float32, ``dimensions`` a row."""

    def __init__(self, folder: Path, generation: int, dimensions: int) -> None:
        self.path = folder / f"vectors-{generation:06d}.f32"
        self._dimensions = dimensions

    def write(self, slot: int, blocks: Iterable[NDArray[np.float32]]) -> int:
        """Write rows from ``slot`` on, sync them, and return how many they were."""
        rows = 0
        try:
            with self.path.open("r+b" if self.path.exists() else "w+b") as file:
                file.seek(slot * self._dimensions * _FLOAT)
                for block in blocks:
                    file.write(block.astype("<f4").tobytes())
                    rows += len(block)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageFailed(
                f"the vectors of the index cannot be written: {error.strerror}",
                hint="Free some space on the disk and give the same command again: what was indexed is kept.",
            ) from None
        return rows

    def rows(self, count: int) -> NDArray[np.float32]:
        """The first ``count`` rows, mapped, read-only, shape ``(count, dimensions)``.

        Raises:
            UnusableIndex: the file is gone or too short.
        """
        import numpy as np

        if count == 0:
            return np.zeros((0, self._dimensions), dtype=np.float32)
        try:
            return np.memmap(self.path, dtype="<f4", mode="r", shape=(count, self._dimensions))
        except (OSError, ValueError) as error:
            raise UnusableIndex(f"the vectors of the index are damaged: {error}") from None
