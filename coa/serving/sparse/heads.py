"""Tables of heads, as published by DuoAttention (arXiv 2410.10819): which key-value heads need far context.

A line a layer, a number a key-value head, from 0 (streams) to 1 (needs everything). Needs no torch: the launcher reads
them too.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from coa.errors import UsageError


def read_rows(path: Path, layers: int, kv_heads: int) -> list[list[float]]:
    """The numbers of a table, a row a layer.

    Raises:
        UsageError: the file is missing, holds no numbers, or belongs to a model of another shape.
    """
    try:
        rows = [[float(cell) for cell in line.split()] for line in path.read_text("utf-8").splitlines() if line.strip()]
        if not all(isfinite(cell) for row in rows for cell in row):
            raise ValueError("not all of it is numbers")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no table of heads in {str(path)!r}: {error}", hint="A line a layer, a number a head."
        ) from None
    if len(rows) != layers or any(len(row) != kv_heads for row in rows):
        shape = f"{len(rows)} x {len(rows[0]) if rows else 0}"
        raise UsageError(
            f"the table of heads {str(path)!r} is {shape}, the model has {layers} layers of {kv_heads} key-value heads",
            hint="Use the table of this very model, or make one with the profiler.",
        )
    return rows
