"""From a model's lines to a valid outline: parsed tolerantly, repaired by code, budgets shared out exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from coa.writing.allocate import LEAST_WORDS, MOST_WORDS, allocate
from coa.writing.plan import Section

_LINE = re.compile(
    r"^\s*(?:(?:[-*+•]|\d+[.)]|(?:section|chapter|part|paragraph)\s*\d+\s*[:.)-])\s*)*(.+\|.+)$", re.IGNORECASE
)
_PARAGRAPH = re.compile(r"main point\s*:\s*(.+?)\s*-\s*word count\s*:\s*(\d+)", re.IGNORECASE)
_TITLE = re.compile(r"^\W*title\W*[:：]\s*(.+?)\W*$", re.IGNORECASE | re.MULTILINE)
_ARRAY = re.compile(r"\[\s*\{.*\}\s*\]", re.DOTALL)
_MOST_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a proposed outline."""

    title: str
    goal: str
    weight: float
    points: tuple[str, ...]


def title_in(reply: str) -> str | None:
    """The title that a reply proposes."""
    found = _TITLE.search(reply)
    return _tidy(found[1]) if found else None


def lines_in(reply: str) -> list[Line]:
    """The lines ``title | goal | weight | point; point`` of a reply; whatever else it says is passed over.

    Lines of AgentWrite's form (``Main Point: ... - Word Count: 400``) are understood too, and JSON. A title comes once.
    """
    found: dict[str, Line] = {}
    for line in _objects(reply) or [_parsed(raw) for raw in reply.splitlines()]:
        if line is not None and line.title.lower() not in ("title", "total", "heading"):
            found.setdefault(line.title.lower(), line)
    return list(found.values())


def _parsed(raw: str) -> Line | None:
    if match := _PARAGRAPH.search(raw):
        return Line(title=_tidy(match[1])[:80], goal=_tidy(match[1]), weight=float(match[2]), points=())
    match = _LINE.match(raw)
    if match is None or set(raw.strip()) <= set("|-: "):
        return None
    title, goal, *rest = [_tidy(cell) for cell in match[1].strip().strip("|").split("|")]
    weight = next((float(cell) for cell in rest if re.fullmatch(r"\d+(?:\.\d+)?", cell)), 1.0)
    points = next((cell for cell in reversed(rest) if not re.fullmatch(r"[\d.]*", cell)), "")
    return Line(title=title, goal=goal, weight=weight, points=_points(points)) if title else None


def _objects(reply: str) -> list[Line | None]:
    """The outline of a reply in JSON: a list of objects that have a title, wherever it stands."""
    match = _ARRAY.search(reply)
    try:
        data: Any = json.loads(match[0]) if match else []
    except (ValueError, RecursionError):
        return []
    entries = cast("list[Any]", data) if isinstance(data, list) else []
    return [_from_object(cast("dict[str, Any]", entry)) for entry in entries if isinstance(entry, dict)]


def _from_object(entry: dict[str, Any]) -> Line | None:
    """An object's title, and of the rest what can be understood."""
    title = _tidy(str(entry.get("title") or entry.get("heading") or ""))
    points: Any = entry.get("points") or entry.get("key_points") or []
    listed = "; ".join(map(str, cast("list[Any]", points))) if isinstance(points, list) else str(points)
    weight = next((entry[name] for name in ("weight", "words") if isinstance(entry.get(name), int | float)), 1)
    goal = _tidy(str(entry.get("goal") or entry.get("description") or ""))
    return Line(title=title, goal=goal, weight=max(0.0, float(weight)), points=_points(listed)) if title else None


def _points(cell: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(point for raw in cell.split(";") if (point := _tidy(raw))))


def _tidy(text: str) -> str:
    """One line without Markdown marks."""
    return " ".join(text.replace("**", "").strip(" \t*#\"'").split())[:_MOST_CHARS]


def fitted(lines: Sequence[Line], count: int) -> list[Line]:
    """Exactly ``count`` lines: extra ones join the last, the longest are cut in two where some are missing."""
    kept = list(lines[:count])
    for extra in lines[count:]:
        last = kept[-1]
        goal = f"{last.goal}; {extra.title}: {extra.goal}"[: 2 * _MOST_CHARS]
        points = tuple(dict.fromkeys((*last.points, *extra.points)))
        kept[-1] = Line(title=last.title, goal=goal, weight=last.weight, points=points)
    while len(kept) < count:
        index = max(range(len(kept)), key=lambda i: kept[i].weight)
        kept[index : index + 1] = _halved(kept[index])
    return kept


def _halved(line: Line) -> list[Line]:
    middle = (len(line.points) + 1) // 2
    base, _, number = line.title.rpartition(", part ")
    name, first = (base, number) if base and number.replace(".", "").isdigit() else (line.title, "")
    labels = (f"{first}.1", f"{first}.2") if first else ("1", "2")
    return [
        Line(title=f"{name}, part {label}", goal=line.goal, weight=line.weight / 2, points=points)
        for label, points in zip(labels, (line.points[:middle], line.points[middle:]), strict=True)
    ]


def sections_of(lines: Sequence[Line], words: int, leaves: Sequence[int], prefix: str = "") -> list[Section]:
    """Sections with budgets that sum to ``words``; ``leaves[i]`` is how many leaves the i-th will have."""
    least = [min(LEAST_WORDS, words // len(lines)) * count for count in leaves]
    most = [max(MOST_WORDS * count, words) if len(lines) == 1 else MOST_WORDS * count for count in leaves]
    budgets = allocate([line.weight for line in lines], words, least, most)
    return [
        Section(id=f"{prefix}{i}", title=line.title, goal=line.goal, words=budget, key_points=list(line.points))
        for i, (line, budget) in enumerate(zip(lines, budgets, strict=True), 1)
    ]


def owned_once(sections: Sequence[Section], taken: set[str]) -> list[Section]:
    """The sections without the key points that another one owns already; ``taken`` is added to."""
    result: list[Section] = []
    for section in sections:
        points: list[str] = []
        for point in section.key_points:
            key = " ".join(point.lower().split())
            if key not in taken:
                taken.add(key)
                points.append(point)
        result.append(section.model_copy(update={"key_points": points}))
    return result
