"""Length, calls and prompt tokens of planned writing beside the published AgentWrite, with a model of known bias.

    python benchmarks/writing/run.py [--words 2000 20000 100000] [--bias 0.5 0.6 ... 1.5]

The model invents words; it writes ``bias`` times what it is asked for, give or take (lognormal, sd 0.2). Tokens are
estimated alike for both methods, in the same run. Speed is another script: speed.py.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

from coa.config import Settings
from coa.retrieval.terms import word_count
from coa.testing.writers import biased_writer
from coa.writing.check import check
from coa.writing.measure import length_score
from coa.writing.run import WriteOptions, write

BRIEF = "A guide to the sound, its ferries and its lights, for people who have just moved there."
WINDOW = 2_000_000
BIASES = [round(0.5 + 0.1 * step, 1) for step in range(11)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One text: its length score, and the tokens of its prompts as the model counts them."""

    score: float
    calls: int
    prompt_tokens: int
    largest: int
    a_leaf: float
    findings: int


async def measure(words: int, bias: float, method: str) -> Row:
    """Write one text and count."""
    model = biased_writer(bias, window=WINDOW)
    settings = Settings(journal=False, concurrency=64, window=WINDOW)
    answer = await write(BRIEF, settings, WriteOptions(words=words, method=method, parallel=8), model=model)
    sizes = [model.counter.count(request.messages[-1].content) for request in model.requests]
    length = word_count("\n".join(line for line in answer.text.splitlines() if not line.startswith("#")))
    return Row(
        score=length_score(words, length),
        calls=len(sizes),
        prompt_tokens=sum(sizes),
        largest=max(sizes),
        a_leaf=sum(sizes) / answer.coverage.chunks,
        findings=sum(finding.fails for finding in check(answer.text).findings) if method == "planned" else 0,
    )


async def main() -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, nargs="+", default=[2_000, 20_000, 100_000])
    parser.add_argument("--bias", type=float, nargs="+", default=BIASES)
    options = parser.parse_args()
    print("| method | words | bias | S_l | calls | prompt tokens | of AgentWrite's | a leaf | largest | findings |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for words in options.words:
        published = await measure(words, 1.0, "agentwrite")
        _print("agentwrite", words, 1.0, published, published)
        for bias in options.bias:
            _print("planned", words, bias, await measure(words, bias, "planned"), published)


def _print(method: str, words: int, bias: float, row: Row, published: Row) -> None:
    share = f"{100 * row.prompt_tokens / published.prompt_tokens:.1f} %"
    a_leaf = f"{row.a_leaf:.0f}" if method == "planned" else ""
    cells = [method, words, bias, f"{row.score:.1f}", row.calls, row.prompt_tokens, share, a_leaf, row.largest]
    print("|", " | ".join(map(str, [*cells, row.findings])), "|", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
