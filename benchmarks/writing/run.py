"""Length, calls and prompt tokens of planned writing beside the published AgentWrite, with a model of known bias.

    python benchmarks/writing/run.py [--words 2000 20000 100000] [--bias 0.5 0.7 1 1.5]

The model invents words; it writes ``bias`` times what it is asked for, give or take (lognormal, sd 0.2), after a fixed
delay. Tokens are estimated alike for both methods. Speed: the same text with one and with eight chapters in the making.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from coa.config import Settings
from coa.retrieval.terms import word_count
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.writing.check import check
from coa.writing.measure import length_score
from coa.writing.run import WriteOptions, write

BRIEF = "A guide to the sound, its ferries and its lights, for people who have just moved there."
WINDOW = 2_000_000


async def measure(words: int, bias: float, method: str) -> str:
    model = biased_writer(bias, window=WINDOW)
    text, _ = await written(model, words, method, parallel=8)
    sizes = [model.counter.count(request.messages[-1].content) for request in model.requests]
    length = word_count("\n".join(line for line in text.splitlines() if not line.startswith("#")))
    findings = len(check(text).findings) if method == "planned" else 0
    return (
        f"{method:11} {words:7} {bias:4} {length_score(words, length):6.1f} {len(sizes):5} "
        f"{sum(sizes):10} {max(sizes):8} {findings:9}"
    )


async def speed(words: int, delay: float) -> str:
    seconds: list[float] = []
    for parallel in (1, 8):
        inner = biased_writer(window=WINDOW)

        async def reply(request: Request, inner: ScriptedModel = inner) -> Reply:
            await asyncio.sleep(delay)
            return await inner.complete(request)

        seconds.append((await written(ScriptedModel(reply, window=WINDOW), words, "planned", parallel))[1])
    return (
        f"{words} words, {delay:g} s a call: 8 chapters side by side are {seconds[0] / seconds[1]:.1f}x as fast as one"
    )


async def written(model: ScriptedModel, words: int, method: str, parallel: int) -> tuple[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(run_dir=Path(folder), concurrency=64, window=WINDOW)
        began = time.perf_counter()
        options = WriteOptions(words=words, method=method, parallel=parallel)
        answer = await write(BRIEF, settings, options, model=model)
        return answer.text, time.perf_counter() - began


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    parser.add_argument("--bias", type=float, nargs="+", default=[0.5, 0.7, 1.0, 1.5])
    options = parser.parse_args()
    print("method        words bias    S_l calls  prompt tok.  largest  findings")
    for words in options.words:
        for bias in options.bias:
            print(await measure(words, bias, "planned"), flush=True)
        print(await measure(words, 1.0, "agentwrite"), flush=True)
    print(await speed(40_000, 1.0))


if __name__ == "__main__":
    asyncio.run(main())
