"""Code without a language model: the lines that follow the most similar code are copied, and nothing is understood."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coa.errors import RequestRejected
from coa.types import Notes, Passage, Place

_TOKEN = re.compile(r"\w+|[^\w\s]")
_LINE = re.compile(r"\[(\w+)\] (\d+\.\d+) (-?\d+)")
_CONTEXT = (1.0, 0.5, 0.25)
_MOST = 5
_SHORTEST = 4
_HEAD = "==== FILE "
_NOTHING = "NO NEW INFORMATION"
_NO_LINE = "# no line of the repository follows similar code"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Lines that could come next, how alike the code before them is, and how much deeper they stand than it."""

    text: str
    score: float
    deeper: int


def copied(role: str, inputs: Mapping[str, Any]) -> str:
    """What a worker, a merger, a manager or a reader says about a place in code.

    Raises:
        RequestRejected: another role.
    """
    place: Place = inputs["place"]
    before: str = inputs["query"] or ""
    if role == "worker":
        passage: Passage = inputs["passage"]
        found = _similar(passage.text, before, place.lines)[:_MOST]
        known = [f"[{marker}] {score} {deeper}" for marker, score, deeper in _LINE.findall(inputs["notes"].text)]
        new = [f"[[{each.text}]] {each.score:.3f} {each.deeper}" for each in found]
        return "\n".join([*known[: 2 * _MOST], *new]) if new else _NOTHING
    if role == "merger":
        notes: Notes = inputs["notes"]
        return "\n".join(f"[{each[0]}] {each[1]} {each[2]}" for each in _LINE.findall(notes.text)) or _NOTHING
    if role == "manager":
        return _fenced(_best_of(inputs["notes"]), before)
    if role == "reader":
        found = _similar(inputs["passage"].text, before, place.lines)
        return _fenced(found[0] if found else None, before)
    raise RequestRejected(f"the offline engine cannot play the role {role!r}", hint="Name a model with --model.")


def _best_of(notes: Notes) -> _Found | None:
    quotes = {item.marker: item.quote for item in notes.evidence}
    found = [
        _Found(text=quotes[marker], score=float(score), deeper=int(deeper))
        for marker, score, deeper in _LINE.findall(notes.text)
        if marker in quotes
    ]
    return max(found, key=lambda each: each.score, default=None)


def _similar(text: str, before: str, lines: int) -> list[_Found]:
    """The lines of a text whose predecessors are most like the last lines before the place, best first."""
    rows = text.split("\n")
    wanted = [_tokens(row) for row in reversed([row for row in before.split("\n") if row.strip()][-len(_CONTEXT) :])]
    filled = [at for at, row in enumerate(rows) if row.strip()]
    bags = {at: _tokens(rows[at]) for at in filled}
    found: list[_Found] = []
    for place, at in enumerate(filled[1:], 1):
        block = "\n".join(rows[at : at + lines]).strip()
        if len(block) < _SHORTEST or "[[" in block or "]]" in block or _HEAD in block:
            continue
        earlier = [bags[filled[place - 1 - back]] for back in range(min(place, len(wanted)))]
        score = sum(weight * _alike(a, b) for weight, a, b in zip(_CONTEXT, earlier, wanted, strict=False))
        if score > 0:
            deeper = _indent(rows[at]) - _indent(rows[filled[place - 1]])
            found.append(_Found(text=block, score=score / sum(_CONTEXT), deeper=deeper))
    return sorted(found, key=lambda each: -each.score)


def _tokens(row: str) -> frozenset[str]:
    return frozenset(_TOKEN.findall(row))


def _alike(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / len(a | b) if a and b else 0.0


def _fenced(found: _Found | None, before: str) -> str:
    """The lines as they would stand after the code before: as much deeper than it as they were where they come from."""
    if found is None:
        return f"```\n{_NO_LINE}\n```"
    last = before.rstrip().rsplit("\n", 1)[-1]
    indent = max(0, _indent(last) + found.deeper)
    blank = "\t" if last.startswith("\t") else " "
    first, *rest = found.text.split("\n")
    shift = min((_indent(row) for row in rest if row.strip()), default=0)
    return "\n".join(["```", blank * indent + first, *(blank * indent + row[shift:] for row in rest), "```"])


def _indent(row: str) -> int:
    return len(row) - len(row.lstrip(" \t"))
