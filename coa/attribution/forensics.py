"""A closer look at a trace: passages that give orders, that speak against a claim, and the answer without them.

Nothing here proves an attack. Orders are told by a pattern, conflicts by what they take from a claim, and the answer
that is left by asking again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from coa.attribution.base import BudgetSpent, Coalition, Found, Search, Segment, Utility
from coa.attribution.certify import descend
from coa.attribution.flags import gives_orders
from coa.attribution.groups import cut
from coa.attribution.views import views_of
from coa.errors import ModelError
from coa.retrieval.terms import terms

Answering = Callable[[Coalition], Awaitable[str]]
"""Answers the question once more, with only these segments in sight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A segment that makes a claim less likely beside the claim's own causes.

    Attributes:
        segment: Its number.
        claim: The claim's place, counted from 0.
        effect: What it adds to v, in nats: negative.
    """

    segment: int
    claim: int
    effect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forensics:
    """What a closer look found.

    Attributes:
        orders: Segments that read like orders to a model, causes or not.
        conflicts: Segments that speak against a claim, strongest first.
        removed: The segments left out for ``without``: causes that give orders; where none does, all causes.
        before: The answer given again with everything in sight; None where no model could be asked.
        without: The answer without ``removed``.
        kept: Of the terms of ``before`` that are not the question's, the share that ``without`` still holds.
        complete: False when the budget ended the look.
    """

    orders: tuple[int, ...]
    conflicts: tuple[Conflict, ...]
    removed: tuple[int, ...]
    before: str | None = None
    without: str | None = None
    kept: float | None = None
    complete: bool = True


async def conflicts_of(utility: Utility, found: Found, search: Search, claim: int = 0) -> list[Conflict]:
    """Segments that lower v beside the causes of a claim by more than nothing; none where the claim has no cause."""
    given = frozenset(cause.segment for cause in found.causes)
    rest = [i for i in range(utility.n) if i not in given]
    if not given or not rest:
        return []
    views, search = await views_of(utility, search)
    against = _Against(views.quiet)
    groups = cut(rest, search.groups, search.edges)
    base, *values = await against.values([given, *(given | frozenset(group) for group in groups)])
    singles = await descend(against, given, groups, values, base, keep=search.k, search=search)
    alone, *beside = await views.fresh.values([given, *(given | {i} for i in singles)])
    effects = sorted((value - alone, i) for value, i in zip(beside, singles, strict=True))
    return [Conflict(segment=i, claim=claim, effect=effect) for effect, i in effects if effect <= -search.epsilon]


async def look_closer(
    segments: Sequence[Segment],
    found: Sequence[Found],
    utilities: Sequence[Utility],
    search: Search,
    question: str,
    answering: Answering | None,
) -> Forensics:
    """Orders, conflicts and the answer that is left.

    Args:
        segments: What was examined.
        found: The causes of each claim.
        utilities: v of each claim; none where no model scored.
        search: How hard to look for conflicts.
        question: What was asked.
        answering: Asks again; None where there is no model.
    """
    orders = tuple(i for i, segment in enumerate(segments) if gives_orders(segment.text))
    causes = dict.fromkeys(cause.segment for each in found for cause in each.causes)
    removed = tuple(i for i in causes if i in orders) or tuple(causes)
    conflicts: list[Conflict] = []
    complete = all(each.complete for each in found)
    try:
        for claim, (each, utility) in enumerate(zip(found, utilities, strict=False)):
            conflicts += await conflicts_of(utility, each, search, claim)
    except BudgetSpent:
        complete = False
    before = without = None
    if answering is not None and removed:
        everything = frozenset(range(len(segments)))
        before, without = await _asked(answering, everything), await _asked(answering, everything - set(removed))
    return Forensics(
        orders=orders,
        conflicts=tuple(sorted(conflicts, key=lambda conflict: conflict.effect)),
        removed=removed,
        before=before,
        without=without,
        kept=None if before is None or without is None else kept_share(before, without, question),
        complete=complete,
    )


def kept_share(before: str, after: str, question: str) -> float:
    """Of what the first answer says beyond the question, the share of terms that the second one holds."""
    said = frozenset(terms(before)) - frozenset(terms(question)) or frozenset(terms(before))
    return len(said & frozenset(terms(after))) / len(said) if said else 1.0


async def _asked(answering: Answering, shown: Coalition) -> str | None:
    try:
        return await answering(shown)
    except ModelError:
        return None


class _Against:
    """A utility turned over: what lowers v raises this."""

    def __init__(self, utility: Utility) -> None:
        self._utility = utility

    @property
    def n(self) -> int:
        return self._utility.n

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        return [-value for value in await self._utility.values(coalitions)]
