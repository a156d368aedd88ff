"""The cheap search: narrow down what helps by itself, until it is enough and nothing else is."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from coa.attribution.base import Coalition, Search, Utility
from coa.attribution.groups import cut


async def certify(
    utility: Utility, search: Search, known: Sequence[int] = (), refuted: Collection[int] = ()
) -> list[int]:
    """Segments that carry the claim by themselves or together, copies included; empty when no group alone helps.

    Args:
        utility: Of the claim.
        search: How hard to look.
        known: Segments that were found before: the search goes on beside them, and they stand first in what it finds.
        refuted: Segments that were found before and did not stand a second look: they are left alone.
    """
    pool = [i for i in range(utility.n) if i not in refuted]
    v_all, v_none = await utility.values([frozenset(pool), frozenset()])
    groups = cut(pool, search.groups, search.edges)
    values = await utility.values([frozenset(group) for group in groups])
    total = max([v_all, *values]) - v_none
    slack = max(search.epsilon, 0.25 * total)
    found = list(known)
    if total < search.epsilon:
        return found
    wanted = v_all
    while len(found) < search.k:
        if found:
            pool = [i for i in pool if i not in found]
            (wanted,) = await utility.values([frozenset(pool)])
            if wanted - v_none < slack:
                break  # necessity: nothing else supports the claim
            groups = cut(pool, search.groups, search.edges)
            values = await utility.values([frozenset(group) for group in groups])
        room = search.k - len(found)
        alone = await descend(utility, frozenset(), groups, values, v_none, keep=room, search=search)
        if not alone:
            break
        support = await completed(utility, alone, pool, wanted - slack, room, search)
        found += [i for i in support if i not in found]
    return found[: search.k]


async def descend(
    utility: Utility,
    given: Coalition,
    groups: Sequence[tuple[int, ...]],
    values: Sequence[float],
    floor: float,
    *,
    keep: int,
    search: Search,
) -> list[int]:
    """Single segments that raise v(given) above ``floor``: the best ``keep`` groups are cut again and again."""
    front = _promising(groups, values, floor, keep, search)
    while any(len(group) > 1 for group in front):
        parts = [part for group in front for part in cut(group, min(search.branch, len(group)), search.edges)]
        scored = await utility.values([given | frozenset(part) for part in parts])
        narrower = _promising(parts, scored, floor, keep, search)
        if not narrower:
            break
        front = narrower
    return [group[0] for group in front if len(group) == 1]


def _promising(
    groups: Sequence[tuple[int, ...]], values: Sequence[float], floor: float, keep: int, search: Search
) -> list[tuple[int, ...]]:
    threshold = max(search.epsilon, 0.25 * max(0.0, max(values, default=floor) - floor))
    good = [(value, group) for value, group in zip(values, groups, strict=True) if value - floor >= threshold]
    return [group for _, group in sorted(good, key=lambda item: -item[0])[:keep]]


async def completed(
    utility: Utility, alone: Sequence[int], pool: Sequence[int], wanted: float, room: int, search: Search
) -> list[int]:
    """Add what helps beside the segments found, until they are enough (sufficiency)."""
    support = list(alone)
    while len(support) < room:
        given = frozenset(support)
        (reached,) = await utility.values([given])
        rest = [i for i in pool if i not in given]
        if reached >= wanted or not rest:
            break
        groups = cut(rest, search.groups, search.edges)
        values = await utility.values([given | frozenset(group) for group in groups])
        more = await descend(utility, given, groups, values, reached, keep=room - len(support), search=search)
        if not more:
            break
        support += more
    return support
