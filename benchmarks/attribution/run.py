"""Precision, recall and cost of the searches on simulated utilities whose sources are known.

    python benchmarks/attribution/run.py [--n 100 1000] [--tau 0.4] [--trials 15] [--methods auto tracllm]

Equivalents are tokens of segments shown, in prompts that hold the whole context. An empty finding has precision 1 where
there is no source; recall is 1 where there is none to find.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from statistics import mean

from coa.attribution.auto import find_causes
from coa.attribution.base import Search
from coa.attribution.contextcite import contextcite
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.tracllm import tracllm
from coa.testing.utilities import FAMILIES, Family, SimulatedScorer

SIGMA = {0.4: 0.15, 1.0: 0.4, 2.0: 0.8}


async def auto(utility: ClaimUtility, seed: int) -> set[int]:
    found = await find_causes(utility, Search(seed=seed))
    return {cause.segment for cause in found.causes}


async def ensemble(utility: ClaimUtility, seed: int) -> set[int]:
    return set(await tracllm(utility, seed=seed))


async def surrogate(utility: ClaimUtility, seed: int) -> set[int]:
    return set(await contextcite(utility, seed=seed))


METHODS: dict[str, Callable[[ClaimUtility, int], Awaitable[set[int]]]] = {
    "auto": auto,
    "tracllm": ensemble,
    "contextcite": surrogate,
}


async def measure(method: str, n: int, family: Family, tau: float, trials: int) -> str:
    rows: list[tuple[float, ...]] = []
    for seed in range(trials):
        scorer = SimulatedScorer(n, family, seed, sigma=SIGMA[tau], tau=tau)
        ledger = Ledger(scorer, [2] * n, overhead=1)
        found = await METHODS[method](ClaimUtility(ledger), seed)
        hits = len(found & scorer.gold)
        precision = hits / len(found) if found else float(not scorer.gold)
        recall = hits / len(scorer.gold) if scorer.gold else 1.0
        usage = ledger.usage
        rows.append((precision, recall, usage.calls, usage.equivalents, usage.rounds, usage.calls / usage.asked))
    p, r, calls, equivalents, rounds, distinct = (mean(column) for column in zip(*rows, strict=True))
    cost = f"{calls:8.0f} {equivalents:7.1f} {rounds:6.0f} {distinct:6.2f}"
    return f"{method:12} {n:6} {tau:4} {family:11} {p:5.2f} {r:5.2f} {cost}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=[100])
    parser.add_argument("--tau", type=float, nargs="+", default=[0.4], choices=sorted(SIGMA))
    parser.add_argument("--trials", type=int, default=15)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    options = parser.parse_args()
    print("method            n  tau family          P     R    calls  equiv. rounds new/asked")
    for method in options.methods:
        for n in options.n:
            for tau in options.tau:
                for family in options.families:
                    print(await measure(method, n, family, tau, options.trials), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
