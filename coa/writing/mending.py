"""Faults of form that code can mend: ragged tables, a code fence or a ``**`` that is not closed."""

from __future__ import annotations

import re

from coa.verbatim import outside_code
from coa.writing.markdown import cells_of

_BLOCK = re.compile(r"(?:^[ \t]*\|.*(?:\n|\Z)){2,}", re.MULTILINE)
_RULER = re.compile(r"^\|?(?:\s*:?-+:?\s*\|?)+$")
_FENCE = re.compile(r"^(```+|~~~+)", re.MULTILINE)


def mended(text: str) -> str:
    """The text with its fences and bold stretches closed, and with tables whose rows have as many cells as the head."""
    return outside_code(_closed(text), lambda piece: _unbolded(_BLOCK.sub(_table, piece)))


def _closed(text: str) -> str:
    fence: str | None = None
    for match in _FENCE.finditer(text):
        if fence is None:
            fence = match[1]
        elif match[1].startswith(fence):
            fence = None
    return text if fence is None else f"{text.rstrip()}\n{fence}"


def _table(match: re.Match[str]) -> str:
    rows = [line.strip() for line in match[0].strip("\n").splitlines()]
    width = len(cells_of(rows[0]))
    if not _RULER.match(rows[1]):
        rows.insert(1, "|" + "---|" * width)
    made = [_row(row, width, "---" if index == 1 else "") for index, row in enumerate(rows)]
    return "\n".join(made) + ("\n" if match[0].endswith("\n") else "")


def _row(row: str, width: int, filling: str) -> str:
    """A row with as many cells as the head: missing ones are empty, what is too much goes into the last."""
    cells = [cell.strip() for cell in cells_of(row)]
    if len(cells) > width:
        cells[width - 1 :] = [filling or " ".join(cells[width - 1 :])]
    cells += [filling] * (width - len(cells))
    return f"| {' | '.join(cells)} |"


def _unbolded(piece: str) -> str:
    """A paragraph with an odd number of ``**`` loses the last of them."""

    def even(paragraph: str) -> str:
        head, mark, tail = paragraph.rpartition("**")
        return head + tail if mark and paragraph.count("**") % 2 else paragraph

    return "\n\n".join(even(each) for each in piece.split("\n\n"))
