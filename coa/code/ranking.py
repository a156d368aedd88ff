"""Which files of a repository matter for a place in one of them: those that define what the code before it names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from coa.code.definitions import Outline, imports, outline, words
from coa.documents.document import Document

_NEAR_LINES = 20
_NEAR, _FAR = 3.0, 1.0
_IMPORTED, _SAME_FOLDER = 6.0, 0.5


def ranked(before: str, file: str, others: Sequence[Document]) -> list[Document]:
    """The files that have something to do with the code before the place, the likeliest first.

    A name that the code uses counts for the files that define it, the more the fewer they are and the nearer to the
    place it stands. An imported file counts besides, and a little so does one of the same folder.

    Args:
        before: All code of the file before the place.
        file: Its path.
        others: The other files.
    """
    outlines = {other.id: outline(other.id, other.text) for other in others}
    weights = _weights(before)
    holders = Counter(name for each in outlines.values() for name in each.defined)
    imported = imports(before) | outline(file, before).imported
    scores = {other.id: _score(other.id, outlines[other.id], weights, holders) for other in others}
    for other in others:
        scores[other.id] += _IMPORTED if _brought_in(other.id, imported) else 0.0
        scores[other.id] += _SAME_FOLDER if _folder(other.id) == _folder(file) else 0.0
    useful = [other for other in others if scores[other.id] > 0]
    return sorted(useful, key=lambda other: (-scores[other.id], other.id))


def _weights(before: str) -> Mapping[str, float]:
    """For each name in the code, how near to the place it stands."""
    lines = before.split("\n")
    near = set(words("\n".join(lines[-_NEAR_LINES:])))
    return {name: _NEAR if name in near else _FAR for name in words(before)}


def _score(path: str, own: Outline, weights: Mapping[str, float], holders: Mapping[str, int]) -> float:
    return math.fsum(weights[name] / holders[name] for name in sorted(own.defined) if name in weights)


def _brought_in(path: str, imported: frozenset[str]) -> bool:
    """Whether an import names this file: the last parts of its path, whatever stands between them."""
    bare = PurePosixPath(path).with_suffix("")
    parts = [part for part in bare.parts if part not in ("__init__", "index", "mod", "src", "lib")]
    if not parts:
        return False
    for name in imported:
        named = [part for part in _parts(name) if part not in ("", ".", "..")]
        if named and named == parts[-len(named) :]:
            return True
    return False


def _parts(name: str) -> list[str]:
    """``a.b.c``, ``a/b/c.h``, ``a::b::c`` and ``./c`` as parts."""
    path = name.replace("::", "/").replace("\\", "/")
    if "/" in path:
        *folders, last = path.split("/")
        return [*folders, last.split(".")[0]]
    return (
        path.split(".")
        if path.count(".") > 1 or not path.endswith((".h", ".hpp", ".js", ".py"))
        else [path.split(".")[0]]
    )


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)
