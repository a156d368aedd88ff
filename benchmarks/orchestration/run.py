"""CPU per model call of a chain beside a bare AsyncOpenAI loop, checkpoint size and peak memory.

    python benchmarks/orchestration/run.py [--calls 200] [--rounds 3]

Each contender runs in a process of its own against one loopback server; the loop sends prompts of the same length.
The figure is user + system time of the contender after its imports, divided by its calls; the best of the rounds is
printed, and the ratio. The chain's clock starts when the text is split, as the loop's does, and ends with the answer;
``with_loading_ms`` is the time with loading, counting and splitting the text.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

CHUNK_CHARS = 4000
WORDS = """
the a of and in to river stone paper chain agent reads chunk then writes summary evidence because while storm
report budget council signal method result table figure section chapter captain harbour winter market law
""".split()  # noqa: SIM905


def prose(chars: int) -> str:
    rng = random.Random(7)
    parts: list[str] = []
    size = 0
    while size < chars:
        sentence = " ".join(rng.choices(WORDS, k=rng.randint(8, 24))).capitalize() + ". "
        if rng.random() < 0.1:
            sentence += "\n\n"
        parts.append(sentence)
        size += len(sentence)
    return "".join(parts)[:chars]


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def report(calls: int, seconds: float, **more: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"calls": calls, "cpu_ms": 1000 * seconds / calls, "peak_mb": round(peak), **more}))


async def bare(base_url: str, calls: int) -> None:
    import openai

    text = prose(CHUNK_CHARS)
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
    notes = ""

    async def call(i: int) -> str:
        reply = await client.chat.completions.create(
            model="fake",
            messages=[{"role": "user", "content": f"{i} {text}\n{notes}\nRead this part and write new notes:"}],
            max_tokens=256,
            temperature=0,
        )
        return reply.choices[0].message.content or ""

    await call(-1)
    before = cpu()
    for i in range(calls):
        notes = await call(i)
    report(calls, cpu() - before)


async def chain(base_url: str, calls: int) -> None:
    import coa
    from coa import events

    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.txt"
        book.write_text(prose(CHUNK_CHARS * calls))
        options = {"model": "openai:fake", "base_url": base_url, "run_dir": Path(folder) / "runs"}
        warm = Path(folder) / "warm.txt"
        warm.write_text("A short text to import what a run imports.")
        await coa.aio.summarize(warm, **options)
        window = 2048
        while (await coa.aio.plan(book, window=window, **options)).chunks > calls:
            window += 64
        done: list[events.StepDone] = []
        split_at: list[float] = []

        def listen(event: events.Event) -> None:
            if isinstance(event, events.RunStarted):
                split_at.append(cpu())
            elif isinstance(event, events.StepDone):
                done.append(event)

        before = cpu()
        answer = await coa.aio.summarize(book, window=window, on_event=listen, **options)
        after = cpu()
        journal = sum(path.stat().st_size for path in (Path(folder) / "runs").rglob("journal.db*"))
    assert len(done) == answer.coverage.chunks + 1
    calls = answer.usage.calls
    report(
        calls,
        after - split_at[0],
        with_loading_ms=1000 * (after - before) / calls,
        journal_kb_per_chunk=round(journal / 1024 / answer.coverage.chunks, 1),
    )


async def memory(base_url: str, calls: int) -> None:
    """Peak memory over 5 MB of text, at the default window."""
    import coa

    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.txt"
        book.write_text(prose(5_000_000))
        before = cpu()
        answer = await coa.aio.summarize(book, model="openai:fake", base_url=base_url, run_dir=Path(folder) / "runs")
        report(answer.usage.calls, cpu() - before)


CONTENDERS = {"bare": bare, "chain": chain, "memory": memory}


def serve() -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "coa.testing.faults", "--port", "0", "--reply", "The notes so far. " * 40]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    base_url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
    return process, base_url


def measure(name: str, base_url: str, calls: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--contender", name, "--base-url", base_url, "--calls", str(calls)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contender", choices=CONTENDERS)
    parser.add_argument("--base-url")
    args = parser.parse_args()
    if args.contender:
        asyncio.run(CONTENDERS[args.contender](args.base_url, args.calls))
        return
    server, base_url = serve()
    try:
        best: dict[str, dict[str, float]] = {}
        for _ in range(args.rounds):
            for name in ("bare", "chain"):
                figure = measure(name, base_url, args.calls)
                if name not in best or figure["cpu_ms"] < best[name]["cpu_ms"]:
                    best[name] = figure
        for name, figure in best.items():
            print(f"{name:8} {figure}")
        print(f"ratio    {best['chain']['cpu_ms'] / best['bare']['cpu_ms']:.2f}")
        print(f"memory   {measure('memory', base_url, args.calls)}")
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
