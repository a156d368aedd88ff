"""Code in a reply: the lines alone, indented as the file is, without fences and without what stands there already."""

from __future__ import annotations

import re

from coa.agents.replies import spoken, usable
from coa.errors import TruncatedReply, UnfitReply
from coa.serving.base import Reply

_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n`]*\n(.*?)(?:^[ \t]*\1|\Z)", re.DOTALL | re.MULTILINE)
_OPENS = re.compile(r"[:{(\[]\s*(?:#.*|//.*)?$")
_CLOSES = re.compile(r"\s*[})\]]")
_TOP = re.compile(r"(?:from|import|def|class|async def|@\w|if __name__|package|#include|export|func|fn|pub|use)\b")
_STEP = "    "


def code_of(reply: Reply, before: str, lines: int) -> str:
    """The next lines of a file, at most ``lines``, taken out of a reply.

    Args:
        reply: A model's. A reply that was cut off is good enough if what was asked for stands before the cut.
        before: The code right before the place, whole lines.
        lines: How many lines to take.

    Raises:
        InvalidReply: refused, empty, cut off too early, or without a line of code.
    """
    try:
        usable(reply)
    except TruncatedReply:
        found = _lines(spoken(reply), before)
        if len(found) <= lines:
            raise
    found = _lines(spoken(reply), before)[:lines]
    if not found:
        raise UnfitReply("it held no line of code")
    return "\n".join(_settled(found, before)).rstrip()


def _lines(text: str, before: str) -> list[str]:
    fenced = _FENCED.search(text)
    rows = (fenced[2] if fenced else text.split("```")[0]).rstrip().split("\n")
    while rows and not rows[0].strip():
        del rows[0]
    last = before.rstrip().rsplit("\n", 1)[-1].strip()
    if len(rows) > 1 and len(last) > 3 and rows[0].strip() == last:
        del rows[0]
    return [row.rstrip() for row in rows]


def _settled(rows: list[str], before: str) -> list[str]:
    """The rows with the indentation of the file: tabs where it has tabs, a lost indent of the first row restored."""
    if re.search(r"^\t", before, re.MULTILINE) and not re.search(r"^ {2}", before, re.MULTILINE):
        rows = [_tabbed(row) for row in rows]
    missing = indent_after(before) if not _indent(rows[0]) and _wants_indent(rows[0], before) else ""
    if not missing:
        return rows
    deeper = len(missing) + bool(_OPENS.search(rows[0]))
    if len(rows) > 1 and len(_indent(rows[1])) >= deeper:
        return [missing + rows[0], *rows[1:]]
    return [missing + row if row else row for row in rows]


def _tabbed(row: str) -> str:
    blanks = _indent(row)
    return "\t" * (blanks.count("\t") + blanks.count(" ") // len(_STEP)) + row[len(blanks) :]


def _wants_indent(row: str, before: str) -> bool:
    """Whether a row without any indent has lost it; one that begins something new at the top has not."""
    last = before.rstrip().rsplit("\n", 1)[-1]
    if _OPENS.search(last):
        return True
    return bool(_indent(last)) and not _TOP.match(row) and not _CLOSES.match(row)


def indent_after(before: str) -> str:
    """The indent that a row after this code most likely has: the last row's, one step deeper after an opener."""
    last = before.rstrip().rsplit("\n", 1)[-1]
    indent = _indent(last)
    if not _OPENS.search(last):
        return indent
    return indent + ("\t" if re.search(r"^\t", before, re.MULTILINE) else _step(before))


def _step(before: str) -> str:
    """The smallest indent that the code uses."""
    used = [len(blanks) for blanks in re.findall(r"^( +)\S", before, re.MULTILINE)]
    return " " * min(used) if used and min(used) > 1 else _STEP


def _indent(row: str) -> str:
    return row[: len(row) - len(row.lstrip(" \t"))]
