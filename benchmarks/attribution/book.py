"""Groups that follow the sections of a book beside even groups: what both cost, and whether both find the sources.

    python benchmarks/attribution/book.py [--seeds 10] [--chapters 12]

A made book: chapters of 20 to 120 sentences under headings, in paragraphs of 2 to 9. The sources of a simulated answer
(`coa/testing/utilities.py`, noise 0.4 nats) stand anywhere in it, or all in one chapter.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from statistics import mean

from coa.attribution.auto import find_causes
from coa.attribution.base import Search, Segment
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.outline import Outline
from coa.attribution.segments import segments_of
from coa.documents import Document
from coa.retrieval.sections import Sections
from coa.testing.utilities import FAMILIES, Family, SimulatedScorer
from coa.tokens import EstimateCounter


def book(seed: int, chapters: int) -> Document:
    rng = random.Random(f"book {seed}")
    parts: list[str] = []
    for number in range(1, chapters + 1):
        parts.append(f"# Chapter {number}")
        left = rng.randrange(20, 121)
        while left > 0:
            size = min(left, rng.randrange(2, 10))
            parts.append(" ".join(f"The ferry crossed in hour {rng.randrange(10**6)}." for _ in range(size)))
            left -= size
    return Document(id="book", path="book.md", text="\n\n".join(parts), sha256="")


def chapter_of(document: Document, segments: tuple[Segment, ...], seed: int) -> list[int]:
    sections = Sections(document.text)
    titles = [sections.at(segment.span.start) for segment in segments]
    chosen = random.Random(f"chapter {seed}").choice(list(dict.fromkeys(titles)))
    return [i for i, title in enumerate(titles) if title == chosen]


async def measure(family: Family, together: bool, seeds: int, chapters: int) -> str:
    rows: list[tuple[float, ...]] = []
    for seed in range(seeds):
        document = book(seed, chapters)
        segments = segments_of([document], EstimateCounter())
        edges = Outline([document]).edges([segment.span for segment in segments])
        among = chapter_of(document, segments, seed) if together else None
        row: list[float] = [len(segments)]
        for given in ((), edges):
            scorer = SimulatedScorer(len(segments), family, seed, among=among)
            ledger = Ledger(scorer, [2] * len(segments), overhead=1)
            found = await find_causes(ClaimUtility(ledger), Search(seed=seed, edges=given))
            usage = ledger.usage
            exact = float(frozenset(cause.segment for cause in found.causes) == scorer.gold)
            row += [exact, usage.calls, usage.equivalents, usage.rounds]
        rows.append(tuple(row))
    n, *figures = (mean(column) for column in zip(*rows, strict=True))
    told = " | ".join(f"{e:5.2f} {c:6.0f} {t:6.1f} {r:5.1f}" for e, c, t, r in (figures[:4], figures[4:]))
    return f"{family:11} {'one chapter' if together else 'anywhere':12} {n:5.0f} | {told}"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--chapters", type=int, default=12)
    options = parser.parse_args()
    print("family      sources          n | even: exact, calls, equiv., rounds | by sections")
    for family in FAMILIES:
        for together in (False, True):
            print(await measure(family, together, options.seeds, options.chapters), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
