"""Cutting a list of segments into parts: of nearly equal length, or at the borders of the document's own sections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

_REACH = 0.4
"""Of a part's length: how far from its even end it may end."""


def cut(ids: Sequence[int], parts: int, edges: Sequence[int] = ()) -> list[tuple[int, ...]]:
    """At most ``parts`` consecutive groups, none empty.

    Args:
        ids: Segments.
        parts: Groups.
        edges: Strength of the border before each segment, 0 for none; empty to cut evenly. A group ends at the
            strongest border near its even end, the nearest of equals, so that none is much larger than without.
    """
    n = len(ids)
    ends = [i * n // parts for i in range(parts + 1)]
    if edges:
        reach = int(_REACH * n / parts)
        ends[1:-1] = [_border(ids, end, reach, edges) for end in ends[1:-1]]
    return [tuple(ids[a:b]) for a, b in pairwise(ends) if a < b]


def _border(ids: Sequence[int], even: int, reach: int, edges: Sequence[int]) -> int:
    near = range(even - reach, even + reach + 1)
    return max(near, key=lambda at: (edges[ids[at]], -abs(at - even)))
