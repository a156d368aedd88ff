"""How much of a server of known capacity do documents and parts side by side use? Goal: 90 % of what is possible.

    python benchmarks/orchestration/throughput.py [--slots 8] [--seconds 0.5] [--documents 16] [--parts 160]

Every call takes ``--seconds``; the server works on ``--slots`` at once. Possible is: all calls, ``slots`` at a time and
of one document also the calls at its end that must wait for the others. ``unknown`` means that the client is not told
the capacity (it may have 64 calls in flight) and the server answers 429 above it.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from run import prose
from server import WARM, Speed, served

import coa

WINDOW = 2048
REPLY = 60
Run = Callable[[Path, dict[str, Any]], Awaitable[None]]


def documents(count: int) -> Run:
    """Chains over so many documents at once, each in a run of its own, under one limiter."""

    async def run(folder: Path, options: dict[str, Any]) -> None:
        await asyncio.gather(
            *[coa.aio.summarize(folder / f"{number}.txt", topology="chain", **options) for number in range(count)]
        )

    return run


async def parts(folder: Path, options: dict[str, Any]) -> None:
    """The parts of one document at once."""
    await coa.aio.summarize(folder / "book.txt", topology="tree", **options)


async def timed(run: Run, folder: Path, base_url: str, most: int) -> float:
    options: dict[str, Any] = {"model": "openai:fake", "base_url": base_url, "window": WINDOW}
    options["limiter"] = coa.aio.Limiter(most)
    options["run_dir"] = folder / f"runs-{time.monotonic_ns()}"
    await coa.aio.summarize(folder / "warm.txt", **options)
    began = time.perf_counter()
    await run(folder, options)
    return time.perf_counter() - began


def measure(name: str, run: Run, folder: Path, speed: Speed, most: int, *, one: bool) -> None:
    counts: dict[str, Any] = {}
    with served(speed, counts) as base_url:
        wall = asyncio.run(timed(run, folder, base_url, most))
    seconds = speed.reply_tokens / speed.reply
    tail = counts["depth"] - 1 if one else 0
    ideal = ((counts["calls"] - tail) / speed.slots + tail) * seconds
    refused = counts["statuses"].get("429", 0)
    print(f"| {name} | {counts['calls']} | {refused} | {ideal:.1f} | {wall:.1f} | {ideal / wall:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.5)
    parser.add_argument("--documents", type=int, default=16)
    parser.add_argument("--parts", type=int, default=160)
    options = parser.parse_args()
    speed = {"prompt": 1e12, "reply": REPLY / options.seconds, "reply_tokens": REPLY, "slots": options.slots}
    known, unknown = Speed(**speed), Speed(**speed, refused=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "warm.txt").write_text(WARM)
        (folder / "book.txt").write_text(prose(options.parts * 2000))
        for number in range(options.documents):
            (folder / f"{number}.txt").write_text(f"Document {number}. {prose(20_000)}")
        print(f"{options.slots} calls at once, {options.seconds} s each\n")
        print("| | calls | 429 | possible, s | measured, s | share |\n|---|---|---|---|---|---|")
        many = documents(options.documents)
        measure(f"{options.documents} documents at once, chain", many, folder, known, options.slots, one=False)
        measure("parts of one document, tree", parts, folder, known, options.slots, one=True)
        measure("parts of one document, tree, unknown", parts, folder, unknown, 64, one=True)
        measure(f"{options.documents} documents at once, chain, unknown", many, folder, unknown, 64, one=False)


if __name__ == "__main__":
    main()
