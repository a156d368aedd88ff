"""Precision, recall and cost of the searches on simulated utilities whose sources are known.

    python benchmarks/attribution/run.py [--n 100 1000] [--tau 0.4] [--trials 15] [--methods auto tracllm]

Equivalents are tokens of segments shown, in prompts that hold the whole context: of what was scored, and of all that
was asked for, which is what the search costs without a memory. An empty finding has precision 1 where there is no
source; recall is 1 where there is none to find.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, Sequence
from statistics import mean

from coa.attribution.auto import find_causes
from coa.attribution.base import Coalition, Search, Utility
from coa.attribution.contextcite import contextcite
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.tracllm import tracllm
from coa.testing.utilities import FAMILIES, Family, SimulatedScorer

SIGMA = {0.4: 0.15, 1.0: 0.4, 2.0: 0.8}
SEGMENT, OVERHEAD = 2, 1
"""Tokens of a segment and of the prompt around them."""


class Forgetful:
    """Passes every question on, and counts the tokens that all of them would cost if each were scored anew."""

    def __init__(self, utility: Utility) -> None:
        self._utility = utility
        self.calls = self.tokens = 0

    @property
    def n(self) -> int:
        return self._utility.n

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        values = await self._utility.values(coalitions)
        self.calls += len(coalitions)
        self.tokens += sum(OVERHEAD + SEGMENT * len(coalition) for coalition in coalitions)
        return values


async def auto(utility: Utility, seed: int) -> set[int]:
    found = await find_causes(utility, Search(seed=seed))
    return {cause.segment for cause in found.causes}


async def ensemble(utility: Utility, seed: int) -> set[int]:
    return set(await tracllm(utility, seed=seed))


async def surrogate(utility: Utility, seed: int) -> set[int]:
    return set(await contextcite(utility, seed=seed))


METHODS: dict[str, Callable[[Utility, int], Awaitable[set[int]]]] = {
    "auto": auto,
    "tracllm": ensemble,
    "contextcite": surrogate,
}


async def measure(method: str, n: int, family: Family, tau: float, seeds: range) -> str:
    rows = [await one(method, n, family, tau, seed) for seed in seeds]
    p, r, calls, equivalents, rounds, asked, forgetful = (mean(column) for column in zip(*rows, strict=True))
    cost = f"{calls:8.0f} {equivalents:7.1f} {rounds:6.0f} {asked:6.0f} {forgetful:7.1f}"
    return f"{method:12} {n:6} {tau:4} {family:11} {p:5.2f} {r:5.2f} {cost}"


async def one(method: str, n: int, family: Family, tau: float, seed: int) -> tuple[float, ...]:
    scorer = SimulatedScorer(n, family, seed, sigma=SIGMA[tau], tau=tau)
    ledger = Ledger(scorer, [SEGMENT] * n, overhead=OVERHEAD)
    utility = Forgetful(ClaimUtility(ledger))
    found = await METHODS[method](utility, seed)
    hits = len(found & scorer.gold)
    precision = hits / len(found) if found else float(not scorer.gold)
    recall = hits / len(scorer.gold) if scorer.gold else 1.0
    usage, forgetful = ledger.usage, utility.tokens / ledger.whole
    return precision, recall, usage.calls, usage.equivalents, usage.rounds, utility.calls, forgetful


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[100])
    parser.add_argument("--tau", type=float, nargs="+", default=[0.4], choices=sorted(SIGMA))
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.trials)
    print("method            n  tau family          P     R    calls  equiv. rounds  asked equiv. without memory")
    for method in options.methods:
        for n in options.n:
            for tau in options.tau:
                for family in options.families:
                    print(await measure(method, n, family, tau, seeds), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
