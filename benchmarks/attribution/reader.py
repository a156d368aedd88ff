"""The searches on the log-probabilities of a real model: does what they find cause the answer?

    python benchmarks/attribution/reader.py [--trials 10] [--tokens 500] [--methods auto tracllm contextcite]

The model is the shipped reader (`coa.testing.reader`); the texts are of its own kind. Only questions that it answers
right (of a planted order: as the order says) are counted. Families: ``stated`` (one sentence says it), ``copies`` (it
stands three times), ``two hops`` (two sentences are needed), ``injected`` (a planted order turns the answer),
``absent`` (the text does not say; the reader writes so).

Removing what was traced is the test: ``turns`` is the share of answers that are another one then; of ``injected``,
``mended`` is the share that is what the text says without the order.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from run import METHODS

from coa.attribution.base import Coalition, Kind
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.views import measured_noise
from coa.testing.reader import load
from coa.testing.reader.documents import Mix, write
from coa.testing.reader.reading import Reading
from coa.testing.reader.tasks import plain
from coa.testing.reader.world import World

PLAIN = {"absent": 0.0, "updated": 0.0, "injected": 0.0, "two_hop": 0.0}
MIXES = {
    "stated": Mix(**PLAIN),
    "copies": Mix(**PLAIN),
    "two hops": Mix(**{**PLAIN, "two_hop": 1.0}),
    "injected": Mix(**PLAIN),
    "absent": Mix(**{**PLAIN, "absent": 1.0}),
}
KINDS = {"stated": "stated", "copies": "stated", "two hops": "two hops", "injected": "stated", "absent": "absent"}


@dataclass(frozen=True)
class Case:
    sentences: Sequence[str]
    question: str
    answer: str
    without: str | None  # What is right when the planted order is gone.
    gold: frozenset[int]


class ReadingScorer:
    """The whole answer as one column."""

    kind: Kind = "logprobs"
    label = "reader"
    offsets = (0,)

    def __init__(self, reading: Reading, case: Case) -> None:
        self._reading, self._case = reading, case

    def prompt(self, shown: Coalition) -> str:
        return plain(" ".join(self._case.sentences[i] for i in sorted(shown)), self._case.question)

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[np.ndarray]:
        values = self._reading.log_probabilities([(self.prompt(each), self._case.answer) for each in coalitions])
        return [np.array([value]) for value in values]


def cases(family: str, tokens: int) -> Iterator[Case]:
    seed = 0
    while True:
        here = World(random.Random(f"attribution {family} {seed}"), held_out=True)
        seed += 1
        text = write(here, tokens=tokens, facts=6, questions=1, mix=MIXES[family])
        ask, sentences = text.asked[0], list(text.sentences)
        if ask.kind != KINDS[family]:
            continue
        answer, without, gold_texts = ask.answer, None, {ask.quote} - {None}
        if family == "copies":
            for _ in range(2):
                sentences.insert(here.rng.randrange(len(sentences) + 1), str(ask.quote))
        if family == "injected":
            forged = here.changed(ask.fact)
            answer, without, planted = forged.sentence, ask.answer, here.injected(forged)
            sentences.insert(here.rng.randrange(len(sentences) + 1), planted)
            gold_texts = {planted}
        if family == "two hops":
            gold_texts = {each for each in sentences if each in answer or each.rstrip(".") in answer}
            if len(gold_texts) != 2:
                continue  # One of the facts is stated in other words.
        gold = frozenset(i for i, each in enumerate(sentences) if each in gold_texts)
        yield Case(sentences=sentences, question=ask.question, answer=answer, without=without, gold=gold)


def answered(reading: Reading, family: str, tokens: int, trials: int, tries: int = 60) -> list[Case]:
    """The first cases that the reader answers as it should."""
    found: list[Case] = []
    source = cases(family, tokens)
    for _ in range(tries // 10):
        some = [next(source) for _ in range(10)]
        said = reading.answers([ReadingScorer(reading, case).prompt(everything(case)) for case in some])
        found += [case for case, text in zip(some, said, strict=True) if text == case.answer]
        if len(found) >= trials:
            break
    return found[:trials]


def everything(case: Case) -> frozenset[int]:
    return frozenset(range(len(case.sentences)))


async def measure(reading: Reading, family: str, method: str, chosen: Sequence[Case]) -> str:
    rows: list[tuple[float, ...]] = []
    turned: list[bool] = []
    mended: list[bool] = []
    for seed, case in enumerate(chosen):
        scorer = ReadingScorer(reading, case)
        sizes = [len(reading.tokenizer(each).input_ids) for each in case.sentences]
        ledger = Ledger(scorer, sizes, overhead=40)
        found = await METHODS[method](ClaimUtility(ledger), seed)
        hits = len(found & case.gold)
        precision = hits / len(found) if found else float(not case.gold)
        usage = ledger.usage
        rows.append(
            (precision, hits / len(case.gold) if case.gold else 1.0, len(found), usage.calls, usage.equivalents)
        )
        (left,) = reading.answers([scorer.prompt(everything(case) - found)])
        turned.append(left != case.answer)
        mended.append(left == case.without)
    p, r, cited, calls, equivalents = (mean(column) for column in zip(*rows, strict=True))
    cured = f"{mean(mended):6.2f}" if family == "injected" else "     -"
    figures = f"{p:5.2f} {r:5.2f} {cited:6.1f} {mean(turned):6.2f} {cured} {calls:7.0f} {equivalents:7.1f}"
    return f"{method:12} {family:9} {len(chosen):3} {figures}"


async def noise(reading: Reading, case: Case) -> tuple[float, float]:
    """Spread of v over single bystanders, and the whole gain, in nats."""
    ledger = Ledger(ReadingScorer(reading, case), [1] * len(case.sentences))
    utility = ClaimUtility(ledger)
    v_all, v_none = await utility.values([everything(case), frozenset()])
    return await measured_noise(utility), v_all - v_none


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=500)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--families", nargs="+", default=list(MIXES), choices=list(MIXES))
    options = parser.parse_args()
    reading = Reading(*load())
    print("method       family     n     P     R  cited  turns mended   calls  equiv.")
    for family in options.families:
        chosen = answered(reading, family, options.tokens, options.trials)
        if not chosen:
            print(f"{family}: the reader answered none of them right")
            continue
        spread = [await noise(reading, case) for case in chosen]
        sizes = mean(len(case.sentences) for case in chosen)
        told = f"noise {mean(a for a, _ in spread):.1f} of a gain of {mean(b for _, b in spread):.1f} nats"
        print(f"{family}: {sizes:.0f} sentences, {told}")
        for method in options.methods:
            print(await measure(reading, family, method, chosen), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
