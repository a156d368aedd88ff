"""Cutting a list of segments into parts of nearly equal length."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def cut(ids: Sequence[int], parts: int) -> list[tuple[int, ...]]:
    """At most ``parts`` consecutive groups, none empty."""
    n = len(ids)
    edges = [i * n // parts for i in range(parts + 1)]
    return [tuple(ids[a:b]) for a, b in pairwise(edges) if a < b]
