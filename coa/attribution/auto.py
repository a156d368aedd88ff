"""The default search: cheap and certified first, robust when that does not certify, honest when nothing explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from coa.attribution.base import BudgetSpent, Cause, Coalition, Found, Role, Search, Utility
from coa.attribution.certify import certify
from coa.attribution.robust import RandomHalves, substitutes
from coa.attribution.shapley import EXACT_UP_TO, exact_shapley
from coa.attribution.views import Views, views_of

_LEAST_SHARE = 0.1


async def find_causes(utility: Utility, search: Search) -> Found:
    """The segments that a claim rests on, with both certificates.

    *Sufficiency*: the segments alone raise v to within a quarter of the whole gain. *Necessity*: without them, at most
    0.3 of the gain is left. A budget that ends gives the best so far, marked ``complete=False``.
    """
    views, search = await views_of(utility, search)
    hunt = _Hunt(views, search)
    try:
        return await hunt.run()
    except BudgetSpent:
        return await hunt.so_far()


class _Hunt:
    """One search after the other, until one certifies what it found; remembers the best."""

    def __init__(self, views: Views, search: Search) -> None:
        self._views, self._search = views, search
        self._best: Found | None = None
        self._proposed: Sequence[int] = ()
        self._halves: RandomHalves | None = None

    async def so_far(self) -> Found:
        """What is known when the budget ends: candidates, if they bring more than the best finding by far."""
        found = await candidates(self._views.raw, self._leading(), self._search)
        if self._best is None or found.v_only - self._best.v_only >= self._search.epsilon:
            return found
        return replace(self._best, certified=False, complete=False)

    def _leading(self) -> Sequence[int]:
        return self._proposed or (self._halves.leading if self._halves else ())

    async def run(self) -> Found:
        """The first finding that is certified, else the best one; no causes where the context explains nothing."""
        views, search = self._views, self._search
        self._proposed = found = await _certified(views, search)
        if not found and not await _anything(views, search):
            return await self._examined([], "certify")
        known: list[int] = []
        if found:
            result = await self._examined(found, "certify")
            if result.certified:
                return result
            known = found if await self._suffice(found) else []
        pool = [i for i in range(views.raw.n) if i not in known]
        self._halves = halves = RandomHalves(views.raw, views.quiet, search, pool)
        seen: set[Coalition] = set()
        for least in search.halves if len(known) < search.k else ():
            self._proposed = ()
            self._proposed = found = await _kept(views, [*known, *await halves.find(least)], search)
            if not found or set(found) <= set(known):
                continue
            more = await substitutes(views.raw, views.quiet, found, search)
            together = list(dict.fromkeys([*found, *more]))[: search.k]
            result = await self._examined(together, "halves")
            if result.certified:
                return result
            if frozenset(together) in seen and await self._suffice(together):
                break  # More rows say the same, and it is enough: still more would.
            seen.add(frozenset(together))
        return self._best or await self._examined([], "halves")

    async def _examined(self, found: Sequence[int], method: str) -> Found:
        self._proposed = found
        views = self._views
        result = await examine(views.quiet, found, self._search, method, again=views.fresh, middle=views.rough)
        if self._best is None or _shortfall(result) < _shortfall(self._best):
            self._best = result
        return result

    async def _suffice(self, found: Sequence[int]) -> bool:
        everything = frozenset(range(self._views.raw.n))
        v_all, v_none, v_only = await self._views.quiet.values([everything, frozenset(), frozenset(found)])
        return v_only >= v_all - _slack(v_all, v_none, v_only, self._search)


def _shortfall(found: Found) -> float:
    """How far a finding is from both certificates, in nats."""
    return max(0.0, found.v_all - found.v_only) + max(0.0, found.v_without - found.v_none)


def _slack(v_all: float, v_none: float, v_only: float, search: Search) -> float:
    return max(search.epsilon, 0.25 * (max(v_all, v_only) - v_none))


async def examine(
    utility: Utility,
    found: Sequence[int],
    search: Search,
    method: str,
    *,
    again: Utility | None = None,
    middle: Utility | None = None,
) -> Found:
    """Both certificates of a set of segments, and the part of each.

    Args:
        utility: Of the claim.
        found: The segments.
        search: Says what counts as nothing.
        method: What found them.
        again: Another view of the same utility, with noise of its own: asked too where the first does not certify.
        middle: As in `exact_shapley`.
    """
    given, everything = frozenset(found), frozenset(range(utility.n))
    four = [everything, frozenset[int](), given, everything - given]
    values = await utility.values(four)
    if found and again is not None and again is not utility and not _certifies(values, search):
        values = [(a + b) / 2 for a, b in zip(values, await again.values(four), strict=True)]
    v_all, v_none, v_only, v_without = values
    causes = await _causes(utility, found, search, max(v_all, v_only) - v_none, middle)
    kept, left = await _curves(utility, causes)
    return Found(
        causes=causes,
        v_all=v_all,
        v_none=v_none,
        v_only=v_only,
        v_without=v_without,
        certified=bool(found) and _certifies(values, search),
        method=method,
        kept=kept,
        left=left,
    )


async def _curves(utility: Utility, causes: Sequence[Cause]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the best causes bring alone, and what is left without them: Shapley's values have paid for all of it."""
    if not 0 < len(causes) <= EXACT_UP_TO:
        return (), ()
    order = [cause.segment for cause in causes]
    cuts = range(1, len(order) + 1)
    values = await utility.values([frozenset(order[:j]) for j in cuts] + [frozenset(order[j:]) for j in cuts])
    return tuple(values[: len(order)]), tuple(values[len(order) :])


def _certifies(values: Sequence[float], search: Search) -> bool:
    v_all, v_none, v_only, v_without = values
    total = max(v_all, v_only) - v_none
    sufficient = v_only >= v_all - _slack(v_all, v_none, v_only, search)
    necessary = v_without - v_none <= max(search.epsilon, 0.3 * total)
    return sufficient and necessary and total >= max(search.least, _least(v_none, search))


async def _certified(views: Views, search: Search) -> list[int]:
    """The cheap search; again, where a second look refutes some of what it found, while it finds more that stands."""
    found: list[int] = []
    refuted: set[int] = set()
    while True:
        known = found
        proposed = await certify(views.quiet, search, known, refuted)
        found = await _kept(views, proposed, search)
        wrong = set(proposed) - set(found)
        if views.quiet is views.fresh or not wrong or len(found) == search.k or set(found) <= set(known):
            return found
        refuted |= wrong


async def _anything(views: Views, search: Search) -> bool:
    """Whether the context explains anything at all; asked twice when the first answer is close."""
    everything, nothing = frozenset(range(views.raw.n)), frozenset[int]()
    v_all, v_none = await views.quiet.values([everything, nothing])
    gain = v_all - v_none
    if search.epsilon <= gain < 2 * search.epsilon:
        (again,) = await views.fresh.values([everything])
        gain = (v_all + again) / 2 - v_none
    return gain >= _least(v_none, search)


def _least(v_none: float, search: Search) -> float:
    """The least gain that explains a claim: a tenth of what has to be explained, however small the noise is."""
    return max(search.epsilon, _LEAST_SHARE * max(0.0, -v_none))


async def _kept(views: Views, found: Sequence[int], search: Search) -> list[int]:
    """What stands a second look, by other bystanders; nothing where all of it together brings too little."""
    if not found:
        return []
    v_only, v_none = await views.fresh.values([frozenset(found), frozenset()])
    (v_all,) = await views.quiet.values([frozenset(range(views.raw.n))])
    if v_only - v_none < _least(v_none, search) or max(v_all, v_only) - v_none < search.least:
        return []
    return await _pruned(views, found, search)


async def _pruned(views: Views, found: Sequence[int], search: Search) -> list[int]:
    """Drop passengers: segments whose Shapley value, the mean of two looks, is small beside the best one's."""
    if len(found) < 2 or not search.prune:
        return list(found)
    phi = await exact_shapley(views.fresh, found[:EXACT_UP_TO])
    if views.quiet is not views.fresh:
        again = await exact_shapley(views.quiet, found[:EXACT_UP_TO], views.rough)
        phi = {i: (phi[i] + again[i]) / 2 for i in phi}
    least = max(0.5, search.share * max(phi.values()))
    return sorted((i for i in phi if phi[i] >= least), key=lambda i: -phi[i])


async def _causes(
    utility: Utility, found: Sequence[int], search: Search, total: float, middle: Utility | None
) -> tuple[Cause, ...]:
    if not found:
        return ()
    given = frozenset(found)
    phi = await exact_shapley(utility, found, middle) if len(found) <= EXACT_UP_TO else dict.fromkeys(found, 0.0)
    coalitions = [frozenset[int](), given, *(frozenset({i}) for i in found), *(given - {i} for i in found)]
    v_none, v_only, *rest = await utility.values(coalitions)
    alone = [value - v_none for value in rest[: len(found)]]
    drop = [v_only - value for value in rest[len(found) :]]
    causes = [
        Cause(segment=i, phi=phi[i], alone=a, drop=d, role=_role(a, d, len(found), search, total))
        for i, a, d in zip(found, alone, drop, strict=True)
    ]
    return tuple(sorted(causes, key=lambda cause: -cause.phi))


def _role(alone: float, drop: float, found: int, search: Search, total: float) -> Role:
    if alone >= total - max(search.epsilon, 0.25 * total):
        return "sufficient" if found == 1 or drop >= search.epsilon else "copy"
    if drop >= search.epsilon:
        return "needed" if alone < search.epsilon else "part"
    return "copy"


async def candidates(utility: Utility, leading: Sequence[int], search: Search) -> Found:
    """What stood out when the budget ended: not certified, each with the figures that it still paid for.

    None are named where all of them together bring no more than the best of all that was tried brings by chance.
    """
    if not leading:
        return unexplored()
    try:
        v_none, v_only = await utility.values([frozenset(), frozenset(leading)])
        causes = await _causes(utility, leading, search, v_only - v_none, None)
    except BudgetSpent:
        return unexplored(leading)
    if v_only - v_none < max(search.epsilon, search.least):
        return unexplored()
    everything = frozenset(range(utility.n))
    v_all, v_without = [await _paid_for(utility, shown) for shown in (everything, everything - frozenset(leading))]
    return replace(
        unexplored(leading),
        causes=tuple(replace(cause, role="candidate") for cause in causes),
        v_all=v_all,
        v_none=v_none,
        v_only=v_only,
        v_without=v_without,
    )


async def _paid_for(utility: Utility, shown: Coalition) -> float:
    """v, if the budget still allows it."""
    try:
        (value,) = await utility.values([shown])
    except BudgetSpent:
        return float("nan")
    return value


def unexplored(best: Sequence[int] = ()) -> Found:
    """Segments about which no figure is known, because the budget ended first."""
    nan = float("nan")
    causes = tuple(Cause(segment=i, phi=0.0, alone=0.0, drop=0.0, role="candidate") for i in best)
    return Found(
        causes=causes,
        v_all=nan,
        v_none=nan,
        v_only=nan,
        v_without=nan,
        certified=False,
        method="candidates",
        complete=False,
    )
