"""Tables of heads: a line a layer, a number a head. Needs no torch: the launcher reads them too.

Published by DuoAttention (arXiv 2410.10819): which key-value heads need far context, from 0 (streams) to 1 (needs
everything). Of our own making: XAttention's threshold of each query head, behind a line that says for which blocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from coa.errors import UsageError


def read_rows(path: Path, layers: int, heads: int) -> list[list[float]]:
    """The numbers of a table, a row a layer; a line that begins with ``#`` is none.

    Raises:
        UsageError: the file is missing, holds no numbers, or belongs to a model of another shape.
    """
    try:
        lines = [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]
        rows = [[float(cell) for cell in line.split()] for line in lines]
        if not all(isfinite(cell) for row in rows for cell in row):
            raise ValueError("not all of it is numbers")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"no table of heads in {str(path)!r}: {error}", hint="A line a layer, a number a head."
        ) from None
    if len(rows) != layers or any(len(row) != heads for row in rows):
        shape = f"{len(rows)} x {len(rows[0]) if rows else 0}"
        raise UsageError(
            f"the table of heads {str(path)!r} is {shape}, the model has {layers} layers of {heads} heads",
            hint="Use the table of this very model, or make one with the profiler.",
        )
    return rows


def write_rows(path: Path, rows: Iterable[Iterable[float]], title: str = "") -> None:
    """Write a table that `read_rows` reads; a title stands before it as a line of its own."""
    lines = ("\t".join(f"{cell:.4f}" for cell in row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in (*([f"# {title}"] if title else []), *lines)), encoding="utf-8")


def title_of(path: Path) -> dict[str, int]:
    """What the title of a table sets: ``# block=128 stride=16``; nothing where it has none, or cannot be read."""
    try:
        first = path.read_text("utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return {}
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", first)} if first.startswith("#") else {}
