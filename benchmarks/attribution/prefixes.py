"""What a local model is spared by computing common beginnings once: the rounds of real searches, scored three ways.

    python benchmarks/attribution/prefixes.py [--tokens 1000] [--methods auto contextcite] [--trials 3]

The model is the shipped reader (`coa.testing.reader`), the texts are of its own kind. Each search runs once; the
coalitions that it asked for, round by round, are then scored again: one by one, in padded batches without common
beginnings, and as a trie. Tokens are those that went through the model, padding included; seconds are CPU time.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Sequence
from statistics import mean

import numpy as np
import torch
from reader import MIXES, PLAIN
from run import METHODS

from coa.agents.fence import Fence
from coa.attribution.base import Coalition, Kind, Segment
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.local import LocalScorer
from coa.attribution.prompting import PlainPrompting
from coa.attribution.weights import LocalModel
from coa.prompts import Prompts
from coa.testing.reader import folder
from coa.testing.reader.documents import Mix, write
from coa.testing.reader.world import World
from coa.types import Span

Rounds = Sequence[Sequence[Coalition]]


class Recorder:
    """A scorer that writes down what it is asked."""

    kind: Kind = "logprobs"
    label = "recorder"

    def __init__(self, scorer: LocalScorer) -> None:
        self._scorer = scorer
        self.rounds: list[Sequence[Coalition]] = []

    @property
    def offsets(self) -> Sequence[int]:
        return self._scorer.offsets

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[np.ndarray]:
        self.rounds.append(coalitions)
        return await self._scorer.logprobs(coalitions)


def asked(seed: int, tokens: int) -> tuple[PlainPrompting, str]:
    here = World(random.Random(f"prefixes {seed}"), held_out=True)
    text = write(here, tokens=tokens, facts=6, questions=1, mix=Mix(**PLAIN) if seed % 2 else MIXES["two hops"])
    segments = [Segment(span=Span(doc="d", start=0, end=0), text=each, tokens=0) for each in text.sentences]
    fence = Fence(token="0" * 16, tag="zzz")
    question, answer = text.asked[0].question, text.asked[0].answer
    return PlainPrompting(segments=segments, question=question, fence=fence, prompts=Prompts()), answer


WAYS: dict[str, tuple[Callable[[], LocalModel], Callable[[Rounds], Rounds]]] = {
    "one by one": (
        lambda: LocalModel(folder(), reuse=False),
        lambda rounds: [[each] for row in rounds for each in row],
    ),
    "batches": (lambda: LocalModel(folder(), reuse=False), lambda rounds: rounds),
    "trie": (lambda: LocalModel(folder()), lambda rounds: rounds),
}


async def measure(method: str, seed: int, tokens: int) -> dict[str, tuple[float, float, np.ndarray]]:
    prompting, answer = asked(seed, tokens)
    recorder = Recorder(LocalScorer(LocalModel(folder()), prompting, answer))
    sizes = [len(segment.text) // 4 for segment in prompting.segments]
    await METHODS[method](ClaimUtility(Ledger(recorder, sizes, overhead=80)), seed)
    found: dict[str, tuple[float, float, np.ndarray]] = {}
    for name, (make, arranged) in WAYS.items():
        model = make()
        scorer = LocalScorer(model, prompting, answer)
        await scorer.logprobs([frozenset()])  # The weights are read before the clock runs.
        before, began = model.computed, time.process_time()
        rows = [row for each in arranged(recorder.rounds) for row in await scorer.logprobs(each)]
        found[name] = (model.computed - before, time.process_time() - began, np.array(rows))
    return found


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--methods", nargs="+", default=["auto", "contextcite"], choices=list(METHODS))
    parser.add_argument("--trials", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("method       tokens  n  way          computed   saved  CPU seconds  saved  furthest from one by one")
    for tokens in options.tokens:
        for method in options.methods:
            runs = [await measure(method, seed, tokens) for seed in range(options.trials)]
            base = [mean(float(run["one by one"][at]) for run in runs) for at in (0, 1)]
            for name in WAYS:
                computed, seconds = (mean(float(run[name][at]) for run in runs) for at in (0, 1))
                furthest = max(float(np.abs(run[name][2] - run["one by one"][2]).max()) for run in runs)
                print(
                    f"{method:12} {tokens:6} {len(runs):2}  {name:10} {computed:10.0f} {base[0] / computed:6.2f}x "
                    f"{seconds:11.1f} {base[1] / seconds:6.2f}x  {furthest:.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    asyncio.run(main())
