"""A result as a table of text whose lines cite the rows that they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coa.aggregation.query import Line, Result
from coa.aggregation.rows import Row
from coa.documents import Document
from coa.types import Citation, Span

_MARKS_A_LINE = 8
_NOTHING = "No record was found."


def cited(result: Result, rows: Sequence[Row], documents: Mapping[str, Document]) -> tuple[str, tuple[Citation, ...]]:
    """The table, and the evidence of every row that it rests on; a line shows the first few of its numbers."""
    numbers: dict[Span, int] = {}
    shown: list[dict[str, str]] = []
    for line in result.lines:
        marks = [numbers.setdefault(span, len(numbers) + 1) for index in line.rows for span in rows[index].spans]
        more = f" and {len(marks) - _MARKS_A_LINE} more" if len(marks) > _MARKS_A_LINE else ""
        values = {name: _written(value) for name, value in line.values.items()}
        shown.append({**values, "evidence": "".join(f"[{mark}]" for mark in marks[:_MARKS_A_LINE]) + more})
    citations = tuple(
        Citation(
            marker=number,
            span=span,
            quote=documents[span.doc].read(span),
            line=documents[span.doc].line(span.start),
            page=documents[span.doc].page(span.start),
        )
        for span, number in numbers.items()
    )
    return table(shown) if _says(result.lines) else _NOTHING, citations


def table(lines: Sequence[Mapping[str, str]]) -> str:
    """Columns side by side, as wide as they need to be."""
    names = list(dict.fromkeys(name for line in lines for name in line))
    cells = [names, *([line.get(name, "") for name in names] for line in lines)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(names))]
    ruled = [cells[0], ["-" * width for width in widths], *cells[1:]]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in ruled
    )


def _says(lines: Sequence[Line]) -> bool:
    return any(line.values for line in lines)


def _written(value: Any) -> str:
    """One line, without brackets that could pass for a citation."""
    if value is None:
        return ""
    return " ".join(str(value).split()).replace("[", "(").replace("]", ")")
