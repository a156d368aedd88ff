"""Chapters side by side against one after the other: the same bytes, how much sooner.

    python benchmarks/writing/speed.py [--words 40000] [--latency 1] [--bias 1]

First counted, on a clock that stands still but for the calls: how many calls follow one another. Then timed, over HTTP
on loopback: the server is a process of its own that answers each call after ``latency`` seconds, whatever its length.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coa.config import Settings
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.types import Answer
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, write

BRIEF = "A guide to the sound, its ferries and its lights, for people who have just moved there."
SERVER = Path(__file__).with_name("server.py")


class Counting(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while anything can run and jumps to the next timer when nothing can."""

    now = 0.0

    def time(self) -> float:
        """Seconds that were slept."""
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


def counted(words: int, parallel: int, bias: float) -> tuple[int, int]:
    """Calls in all, and calls that follow one another."""
    inner = biased_writer(bias)

    async def reply(request: Request) -> Reply:
        await asyncio.sleep(1.0)
        return await inner.complete(request)

    async def work() -> int:
        settings = Settings(journal=False, concurrency=64, window=100_000)
        model = ScriptedModel(reply, window=100_000)
        return (await write(BRIEF, settings, WriteOptions(words=words, parallel=parallel), model=model)).usage.calls

    loop = Counting()
    try:
        return loop.run_until_complete(work()), round(loop.time())
    finally:
        loop.close()


async def timed(base_url: str, words: int, parallel: int) -> tuple[Answer, int, float]:
    """The text, its chapters, and the seconds from the brief to the last edit."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            run_dir=Path(folder), model="openai:test", base_url=base_url, concurrency=64, window=100_000
        )
        began = time.perf_counter()
        answer = await write(BRIEF, settings, WriteOptions(words=words, parallel=parallel))
        seconds = time.perf_counter() - began
        outline = Outline.from_yaml(Path(folder) / answer.run_id / "plan.yaml")
        return answer, len(outline.chapters()), seconds


async def compare(base_url: str, words: int, side_by_side: list[int]) -> None:
    """Print one line for each number of chapters side by side."""
    await timed(base_url, 300, 1)  # What is imported once is no part of any figure.
    found: dict[int, tuple[Answer, int, float]] = {}
    for parallel in side_by_side:
        answer, chapters, seconds = found[parallel] = await timed(base_url, words, parallel)
        print(f"{words} words, {chapters} chapters, {parallel} at once: {seconds:.1f} s, {answer.usage.calls} calls")
    if 1 in found:
        first, serial = found[1][0].text, found[1][2]
        for parallel, (answer, _, seconds) in found.items():
            same = "same bytes" if answer.text == first else "OTHER BYTES"
            print(f"{parallel} at once: {serial / seconds:.2f} times as fast as one, {same}", flush=True)


def main() -> None:
    """Start the server, compare, and stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--words", type=int, default=40_000)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--parallel", type=int, nargs="+", default=[8, 1])
    options = parser.parse_args()
    for parallel in options.parallel:
        calls, turns = counted(options.words, parallel, options.bias)
        print(f"{parallel} at once: {calls} calls, {turns} of them one after the other: {calls / turns:.2f} times")
    command = [sys.executable, str(SERVER), "--latency", str(options.latency), "--bias", str(options.bias)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        asyncio.run(compare(server.stdout.readline().strip(), options.words, options.parallel))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
