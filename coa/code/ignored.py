"""`Ignored`: what a repository's ``.gitignore`` files leave out.

Patterns are matched part by part with `fnmatch`, which takes linear time: the files come from strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from coa.documents.decode import decode

_MOST_BYTES = 100_000
_MOST_RULES = 2_000
_ANY_DEPTH = "**"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    parts: tuple[str, ...]
    folders_only: bool
    keeps: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The rules that hold in a folder: those of the folders above it, then its own; the last that fits decides."""

    rules: tuple[tuple[int, _Rule], ...] = ()

    def below(self, folder: Path, depth: int) -> Ignored:
        """The rules for a folder ``depth`` levels below the root, its own ``.gitignore`` read."""
        try:
            with (folder / ".gitignore").open("rb") as file:
                text = decode(file.read(_MOST_BYTES)).text
        except OSError:
            return self
        own = [_rule(line) for line in text.split("\n")[:_MOST_RULES]]
        return Ignored(rules=(*self.rules, *((depth, rule) for rule in own if rule is not None)))

    def covers(self, parts: Sequence[str], *, folder: bool) -> bool:
        """Whether a path, given by its parts from the root on, is left out."""
        for depth, rule in reversed(self.rules):
            if (folder or not rule.folders_only) and _fits(rule.parts, parts[depth:]):
                return not rule.keeps
        return False


def _rule(line: str) -> _Rule | None:
    pattern = line.strip()
    if not pattern or pattern.startswith("#"):
        return None
    keeps = pattern.startswith("!")
    pattern = pattern.removeprefix("!").removeprefix("\\")
    folders_only = pattern.endswith("/")
    pattern = pattern.rstrip("/")
    anchored = "/" in pattern
    parts = tuple(part for part in pattern.split("/") if part)
    if not parts:
        return None
    return _Rule(parts=parts if anchored else (_ANY_DEPTH, *parts), folders_only=folders_only, keeps=keeps)


def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Whether all parts fit the pattern; ``**`` stands for any number of parts. One row of a table a pattern part."""
    reached = [True, *[False] * len(parts)]
    for piece in pattern:
        if piece == _ANY_DEPTH:
            first = reached.index(True) if True in reached else len(reached)
            reached = [at >= first for at in range(len(parts) + 1)]
        else:
            reached = [False, *(reached[at] and fnmatchcase(part, piece) for at, part in enumerate(parts))]
    return reached[-1]
