"""The search for evidence that helps only together: rows of groups and the rules that explain them, level by level.

One text of three that are needed brings almost nothing by itself, so that no test of single groups finds it. Over rows
that show half of everything, or more, the rule that needs all three shows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coa.attribution.base import BudgetSpent, Coalition, Search, Utility
from coa.attribution.certify import completed, descend
from coa.attribution.conjunctions import Rules
from coa.attribution.groups import cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SURE = 0.9
"""How surely the groups that a level keeps must hold the whole rule."""
_LEADING = 0.5
"""How likely a segment must be named by the rule for it to be a candidate when the budget ends."""
_ROUND = 8
_MOST_ROWS = 64
_DRAWN = 40
_LARGER = 0.75
_REPLACED = 0.2
"""Of what a segment brings, what must be left without it where another can take its place."""

Group = tuple[int, ...]


class RandomHalves:
    """Segments that carry the claim together, found by rules over rows that show some groups of them.

    A level scores rows, those next that tell the likely rules apart best, until the rule lies surely enough within a
    few of its groups, whichever it is. These are cut for the next level, where all earlier rows still count. What is
    left gets smaller, so that a level affords more rows than the one before. What the levels lost is looked for again
    beside what they found.

    Args:
        raw: Scores the rows: a rule averages the noise itself.
        quiet: Scores the tests of sufficiency.
        search: How hard to look.
        pool: Segments to look among.
    """

    def __init__(self, raw: Utility, quiet: Utility, search: Search, pool: Sequence[int]) -> None:
        self._raw, self._quiet, self._search, self._pool = raw, quiet, search, pool
        self._known: dict[Coalition, float] = {}
        self._leading: list[int] = []

    @property
    def leading(self) -> list[int]:
        """Segments that the rule names more likely than not, likeliest first; known once single ones were scored."""
        return self._leading

    async def find(self, least: int) -> list[int]:
        """The segments; none where most likely no group matters. Rows of earlier calls count.

        Args:
            least: Rows of the first level, at least.
        """
        search = self._search
        groups = cut(self._pool, search.groups, search.edges)
        while True:
            kept = [groups[j] for j in await self._narrowed(groups, least)]
            if not kept:
                return []
            if all(len(group) == 1 for group in groups):
                return await _enough(self._quiet, [group[0] for group in kept], search, self._pool)
            parts = max(2, search.groups // len(kept))
            groups = [part for group in sorted(kept) for part in cut(group, min(parts, len(group)), search.edges)]

    async def _narrowed(self, groups: Sequence[Group], least: int) -> list[int]:
        """The groups of one level that are kept, likeliest first."""
        search, rules = self._search, Rules(len(groups))
        inside = frozenset(i for group in groups for i in group)
        outside = [i for i in self._pool if i not in inside]
        rng = random.Random(f"{search.seed}|{least}|{groups}")
        affords = (len(self._pool) / max(1, len(inside))) ** 0.25
        gain = await self._gain()
        await self._score([inside, frozenset()])
        while True:
            shown, values = self._told(groups)
            likely = rules.likely(shown, values, search.noise, gain)
            kept, sureness = rules.covering(likely, _SURE, search.k)
            if all(len(group) == 1 for group in groups):
                self._leading = [groups[j][0] for j in rules.named(likely, _LEADING, search.k)]
            others = _others(shown, rng, again=bool(outside))
            done = sureness >= _SURE and len(values) - 2 >= least * affords
            if done or self._own(inside) >= _MOST_ROWS * affords or not len(others):
                return kept
            rows = rules.telling(likely, others, round(_ROUND * affords), max(search.noise, 0.1) / gain)
            try:
                await self._score_some([_shown(groups, others[row], outside, rng) for row in rows])
            except BudgetSpent:
                if sureness < _LEADING:
                    raise
                return kept  # Smaller groups cost less: on with what is likely.

    def _own(self, inside: Coalition) -> int:
        """How many rows showed nothing but this level's groups, a bystander aside."""
        return sum(len(row - inside) <= 1 for row in self._known)

    async def _gain(self) -> float:
        v_all, v_none = await self._quiet.values([frozenset(self._pool), frozenset()])
        return max(self._search.epsilon, v_all - v_none)

    async def _score(self, coalitions: Sequence[Coalition]) -> None:
        self._known.update(zip(coalitions, await self._raw.values(coalitions), strict=True))

    async def _score_some(self, coalitions: Sequence[Coalition]) -> None:
        """Score them, or as many of the first ones as the budget allows.

        Raises:
            BudgetSpent: it does not allow a single one.
        """
        try:
            await self._score(coalitions)
        except BudgetSpent:
            if len(coalitions) == 1:
                raise
            await self._score_some(coalitions[: len(coalitions) // 2])

    def _told(self, groups: Sequence[Group]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Of all that was scored, what shows every group wholly or not at all: the groups shown, and the values."""
        import numpy as np

        sizes = np.array([len(group) for group in groups])
        counts = np.array([[len(row.intersection(group)) for group in groups] for row in self._known])
        told = ((counts == 0) | (counts == sizes)).all(axis=1)
        return counts[told] > 0, np.array(list(self._known.values()), dtype=np.float64)[told]


def _shown(groups: Sequence[Group], row: NDArray[np.bool_], outside: Sequence[int], rng: random.Random) -> Coalition:
    """The segments of a row, and a bystander: the same groups may be asked about again, with noise of their own."""
    inside = [i for group, shown in zip(groups, row, strict=True) if shown for i in group]
    return frozenset([*inside, *(rng.sample(outside, 1) if outside else ())])


def _others(shown: NDArray[np.bool_], rng: random.Random, *, again: bool) -> NDArray[np.bool_]:
    """Rows that may be scored next, halves and larger parts of the groups: shape ``(rows, groups)``.

    Args:
        shown: The rows that were scored.
        rng: Draws.
        again: Whether these may be scored again.
    """
    import numpy as np

    groups = shown.shape[1]
    seen = set[Coalition]() if again else {frozenset(np.flatnonzero(row).tolist()) for row in shown}
    sizes = (groups // 2, max(1, round(_LARGER * groups)))
    drawn = {frozenset(rng.sample(range(groups), size)) for _ in range(_DRAWN) for size in sizes}
    rows = sorted(map(sorted, drawn - seen))
    return np.array([[j in row for j in range(groups)] for row in rows], dtype=bool).reshape(len(rows), groups)


async def _enough(quiet: Utility, found: Sequence[int], search: Search, pool: Sequence[int]) -> list[int]:
    """What is found, with what it lacks."""
    if not found:
        return []
    v_all, v_none = await quiet.values([frozenset(pool), frozenset()])
    wanted = v_all - max(search.epsilon, 0.25 * (v_all - v_none))
    return await completed(quiet, found, pool, wanted, search.k, search)


async def substitutes(raw: Utility, quiet: Utility, found: Sequence[int], search: Search) -> list[int]:
    """Segments that can take the place of one of ``found``: copies of evidence that helps only in company.

    Whether there are any for a segment shows when it alone is left out of everything: only then is it worth looking.
    """
    everything = frozenset(range(raw.n))
    left = await raw.values([everything - {each} for each in found])
    added: list[int] = []
    for each, without_it in zip(found, left, strict=True):
        given = frozenset(found) - {each}
        with_it, without = await quiet.values([given | {each}, given])
        rest = [i for i in range(raw.n) if i not in found and i not in added]
        if with_it - without < search.epsilon or without_it - without < _REPLACED * (with_it - without) or not rest:
            continue
        groups = cut(rest, search.groups, search.edges)
        values = await quiet.values([given | frozenset(group) for group in groups])
        half = without + max(0.0, 0.5 * (with_it - without) - search.epsilon)
        added += await descend(quiet, given, groups, values, half, keep=search.k, search=search)
    return added
