"""The searches on the log-probabilities of a real model that reads: facts about invented people, one question.

    python benchmarks/attribution/reader.py FOLDER [--trials 30] [--facts 20]

FOLDER holds a small Llama that was trained to answer "Where does NAME live?" from sentences such as "NAME lives in
PLACE.". Families: ``single`` (one sentence says it), ``copies`` (three do), ``none`` (the answer stands nowhere).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from run import METHODS
from transformers import AutoTokenizer

from coa.agents.fence import Fence
from coa.attribution.base import Segment
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.local import LocalScorer
from coa.attribution.scorers import Prompting
from coa.prompts import Prompts
from coa.types import Span

PROMPT = """---
version: 1
inputs: [texts, question, open, close]
---
{{ texts }}
Question: {{ question }}
Answer:{% if false %}{{ open }}{{ close }}{% endif %}
"""


def names(folder: str) -> list[str]:
    """Words of two pieces: a capital syllable and another one, as the tokenizer has them."""
    pieces = AutoTokenizer.from_pretrained(folder).get_vocab()
    first = sorted(piece[1:] for piece in pieces if re.fullmatch(r"▁[A-Z][a-z]{1,2}", piece))
    second = sorted(piece for piece in pieces if re.fullmatch(r"[a-z]{3}", piece))
    return [a + b for a in first for b in second]


def case(family: str, facts: int, rng: random.Random, pool: Sequence[str]) -> tuple[list[str], str, str, set[int]]:
    chosen = rng.sample(pool, 2 * facts + 2)
    people, places = chosen[: facts + 1], chosen[facts + 1 :]
    sentences = [f"{who} lives in {where}." for who, where in zip(people[1:], places[1:], strict=True)]
    gold = {"single": 1, "copies": 3, "none": 0}[family]
    fact = f"{people[0]} lives in {places[0]}."
    for _ in range(gold):
        sentences.insert(rng.randrange(len(sentences) + 1), fact)
    found = {i for i, sentence in enumerate(sentences) if sentence == fact}
    return sentences, f"Where does {people[0]} live?", fact, found


async def measure(folder: str, family: str, method: str, facts: int, trials: int, prompts: Prompts) -> str:
    pool = names(folder)
    rows: list[tuple[float, ...]] = []
    for seed in range(trials):
        sentences, question, answer, gold = case(family, facts, random.Random(f"{family} {seed}"), pool)
        segments = [Segment(span=Span(doc="d", start=0, end=0), text=text, tokens=8) for text in sentences]
        prompting = Prompting(
            segments=segments, question=question, fence=Fence(token="0" * 16, tag="zzz"), prompts=prompts
        )
        ledger = Ledger(LocalScorer(folder, prompting, answer), [8] * len(segments), overhead=20)
        found = await METHODS[method](ClaimUtility(ledger), seed)
        hits = len(found & gold)
        precision = hits / len(found) if found else float(not gold)
        rows.append((precision, hits / len(gold) if gold else 1.0, ledger.usage.calls, ledger.usage.equivalents))
    p, r, calls, equivalents = (mean(column) for column in zip(*rows, strict=True))
    return f"{method:12} {family:8} {p:5.2f} {r:5.2f} {calls:7.0f} {equivalents:7.1f}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--facts", type=int, default=20)
    options = parser.parse_args()
    print("method       family       P     R   calls  equiv.")
    with tempfile.TemporaryDirectory() as override:
        (Path(override) / "trace_answer.md").write_text(PROMPT, "utf-8")
        for method in METHODS:
            for family in ("single", "copies", "none"):
                prompts = Prompts(Path(override))
                print(await measure(options.folder, family, method, options.facts, options.trials, prompts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
