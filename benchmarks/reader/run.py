"""Questions on long invented documents, for any model and topology: who read, and who only guessed.

    python benchmarks/reader/run.py --model reader --tokens 4000 --window 2048 --topology chain --n 40

After LongBioBench (arXiv 2506.02921): nothing in the documents can be known from elsewhere. Kinds: ``stated``,
``absent``, ``updated`` (a later "Update:" counts). An answer is right if it holds the
value; where there is none, if it says so.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from coa import aio
from coa.testing.reader.documents import Asked, Mix, Text, write
from coa.testing.reader.lexicon import ABSENT
from coa.testing.reader.world import World

MIXES = {
    "stated": Mix(absent=0.0, updated=0.0, injected=0.0, two_hop=0.0),
    "absent": Mix(absent=1.0, updated=0.0, injected=0.0, two_hop=0.0),
    "updated": Mix(absent=0.0, updated=1.0, injected=0.0, two_hop=0.0),
}
_NOTHING = re.compile(r"not stat|does not (state|say|hold)|no information|not (mentioned|found)|nothing", re.IGNORECASE)


def case(kind: str, seed: int, tokens: int, facts: int) -> tuple[Text, Asked]:
    world = World(random.Random(f"benchmark/{kind}/{seed}"), held_out=True)
    text = write(world, tokens=tokens, facts=facts, questions=1, mix=MIXES[kind])
    return text, text.asked[0]


def right(answer: str, ask: Asked) -> bool:
    if ask.fact.value is None:
        return ABSENT in answer or _NOTHING.search(answer) is not None
    return re.search(rf"\b{re.escape(ask.fact.value)}\b", answer) is not None


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reader")
    parser.add_argument("--tokens", type=int, default=4000, help="length of a document, in the reader's tokens")
    parser.add_argument("--facts", type=int, default=20)
    parser.add_argument("--n", type=int, default=30, help="documents of each kind")
    parser.add_argument("--window", type=int)
    parser.add_argument("--topology", default="chain")
    options = parser.parse_args()
    found: dict[str, list[bool]] = defaultdict(list)
    calls, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for kind in MIXES:
            for seed in range(options.n):
                text, ask = case(kind, seed, options.tokens, options.facts)
                path = Path(folder) / f"{kind}{seed}.txt"
                path.write_text(str(text), encoding="utf-8")
                answer = await aio.ask(
                    path,
                    ask.question,
                    model=options.model,
                    window=options.window,
                    topology=options.topology,
                    journal=False,
                )
                calls += answer.usage.calls
                found[kind].append(right(answer.text, ask))
    print(
        f"{options.model}, {options.topology}, {options.tokens} tokens, {options.facts} facts, window {options.window}"
    )
    for kind, hits in found.items():
        print(f"| {kind} | {sum(hits) / len(hits):.2f} ({sum(hits)}/{len(hits)}) |")
    print(f"{calls} calls, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    asyncio.run(main())
