"""The words a unit is found by: its own, and, counting less, those of the units before and after it.

An answer often stands beside the words of its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coa.retrieval.base import TEXT, Unit
from coa.retrieval.terms import terms

OWN, NEAR = 3, 1
"""How much a unit's own words and its neighbours' count."""


def windows(units: Sequence[Unit]) -> Iterable[tuple[list[str], list[str]]]:
    """The terms of each unit of one document, and those of its neighbours."""
    own = [terms(unit.text) for unit in units]
    for at, unit in enumerate(units):
        near = [i for i in (at - 1, at + 1) if 0 <= i < len(units) and unit.kind == units[i].kind == TEXT]
        yield own[at], [term for i in near for term in own[i]]
