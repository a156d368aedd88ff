"""Speed, waste and event-loop stalls of `coa.split`, beside LangChain's and LlamaIndex's splitters where installed.

    pip install langchain-text-splitters llama-index-core
    python benchmarks/splitting/run.py BOOK [--vocabulary cl100k_base]

Every splitter gets the same counting function. ``waste`` is the number of chunks over the least that could hold the
text (its tokens / budget), in percent; ``over`` counts chunks larger than the budget by that same count; ``lost`` is
the number of characters that the joined chunks lack. ``stall`` is the longest time for which an event loop that splits
as `coa.session` does, in a thread, did not run. Times are CPU seconds, printed as MB a second.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

from coa.documents import Document, load
from coa.split import split
from coa.tokens import EstimateCounter, TokenCounter
from coa.tokens.exact import TiktokenCounter


def ours(document: Document, budget: int, counter: TokenCounter) -> list[str]:
    return [document.read(chunk.span) for chunk in split(document, budget, counter)]


def langchain(document: Document, budget: int, counter: TokenCounter) -> list[str]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        chunk_size=budget, chunk_overlap=0, length_function=counter.count, keep_separator="end", strip_whitespace=False
    )
    return splitter.split_text(document.text)


def llamaindex(document: Document, budget: int, counter: TokenCounter) -> list[str]:
    from llama_index.core.node_parser import SentenceSplitter

    splitter = SentenceSplitter(
        chunk_size=budget, chunk_overlap=0, include_metadata=False, tokenizer=lambda text: [0] * counter.count(text)
    )
    return splitter.split_text(document.text)


SPLITTERS: dict[str, Callable[[Document, int, TokenCounter], list[str]]] = {
    "coa": ours,
    "LangChain recursive": langchain,
    "LlamaIndex sentence": llamaindex,
}


def row(name: str, document: Document, budget: int, counter: TokenCounter) -> str:
    before = time.process_time()
    try:
        chunks = SPLITTERS[name](document, budget, counter)
    except ImportError:
        return f"| {name} | {budget} | not installed | | | |"
    seconds = time.process_time() - before
    least = math.ceil(counter.count(document.text) / budget)
    over = sum(counter.count(chunk) > budget for chunk in chunks)
    lost = len(document.text) - len("".join(chunks))
    speed = len(document.text.encode()) / 1e6 / seconds
    return f"| {name} | {budget} | {speed:.2f} | {100 * (len(chunks) / least - 1):+.1f} % | {over} | {lost} |"


async def longest_stall(document: Document, budget: int, counter: TokenCounter) -> float:
    gaps: list[float] = []

    async def tick() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - before - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0.05)
    await asyncio.to_thread(ours, document, budget, counter)
    ticking.cancel()
    return max(gaps)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("book", type=Path)
    parser.add_argument("--vocabulary", help="a tiktoken encoding at hand; the estimate without it")
    args = parser.parse_args()
    counter: TokenCounter = TiktokenCounter(args.vocabulary) if args.vocabulary else EstimateCounter()
    document = load(args.book)
    print(f"{len(document.text):,} characters, counted by {counter.label}\n")
    print("| splitter | budget | MB / CPU-s | waste | over | lost |\n|---|---|---|---|---|---|")
    for budget in (512, 1024, 8000):
        for name in SPLITTERS:
            print(row(name, document, budget, counter), flush=True)
    print(f"\nlongest stall of the event loop: {1000 * asyncio.run(longest_stall(document, 1024, counter)):.0f} ms")


if __name__ == "__main__":
    main()
