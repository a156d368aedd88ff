"""The reader carries a fact along 2, 8, 32 parts: how often does the answer hold it, by topology?

    python benchmarks/reader/topologies.py [--parts 2,8,32] [--n 60] [--topologies chain,tree,...]

A document has so many pieces of about 200 tokens with two facts each about invented people; one of them is asked for.
The window is set so that a chunk holds about one piece. ``single`` reads everything in one prompt, with as large a
window as that needs; the reader was trained on rows of up to 4,096 tokens. All documents are read side by side, so that
the reader answers many prompts at once. The prompts are the product's own.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import torch

from coa import aio
from coa.documents import Document
from coa.errors import CoaError
from coa.pipelines.registry import TOPOLOGIES
from coa.serving.base import Reply, Request
from coa.testing.reader import folder, load
from coa.testing.reader.documents import Asked
from coa.testing.reader.measures import chunked
from coa.testing.reader.reading import Reading
from coa.testing.reader.tasks import chat
from coa.tokens import HuggingFaceCounter, TokenCounter

MOST = 64
"""Tokens of a reply: the reader's are sentences with a quote each."""
GATHERED = 0.05
"""Seconds to wait for more prompts before a batch is read."""


@dataclass(slots=True)
class Batched:
    """The reader as a model that answers all prompts that wait at once; greedy, so that it reads none twice."""

    reading: Reading
    window: int
    counter: TokenCounter
    known: dict[str, str]
    name: str = "reader:batched"
    calls: Counter[str] = field(default_factory=Counter)
    prompt_tokens: int = 0
    waiting: list[tuple[Request, asyncio.Future[str]]] = field(default_factory=list)
    going: asyncio.Task[None] | None = None

    async def complete(self, request: Request) -> Reply:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.waiting.append((request, done))
        if self.going is None or self.going.done():
            self.going = asyncio.create_task(self.work())
        text = await done
        prompt = self.counter.count(chat(request))
        self.calls[request.role] += 1
        self.prompt_tokens += prompt
        said = self.counter.count(text)
        return Reply(
            text=text,
            finish="stop" if said < MOST - 1 else "length",
            model=self.name,
            prompt_tokens=prompt,
            completion_tokens=said,
        )

    async def work(self) -> None:
        while self.waiting:
            await asyncio.sleep(GATHERED)
            batch, self.waiting = self.waiting, []
            asked = dict.fromkeys(chat(request) for request, _ in batch)
            new = [prompt for prompt in asked if prompt not in self.known]
            said = await asyncio.to_thread(self.reading.answers, new, MOST)
            self.known.update(zip(new, said, strict=True))
            for request, done in batch:
                if not done.done():
                    done.set_result(self.known[chat(request)])

    async def close(self) -> None:
        """Nothing to release: the next run uses it again."""


def right(answer: str, ask: Asked) -> bool:
    return re.search(rf"\b{re.escape(str(ask.fact.value))}\b", answer) is not None


async def one(seed: int, parts: int, topology: str, model: Batched) -> str:
    texts, ask = chunked(seed, parts)
    text = "\n\n".join(map(str, texts))
    name = f"{parts}-{seed}"
    document = Document(id=name, path=name, text=text, sha256=sha256(text.encode()).hexdigest())
    window = model.window
    try:
        answer = await aio.ask(
            document,
            ask.question,
            model=model,
            topology=topology,
            window=window,
            journal=False,
            concurrency=64,
        )
    except CoaError as error:
        return error.code
    return "right" if right(answer.text, ask) else "absent" if "not stated" in answer.text else "wrong"


async def measured(reading: Reading, known: dict[str, str], topology: str, parts: int, n: int, window: int) -> str:
    window = max(window, parts * 300 + 1200) if topology == "single" else window
    model = Batched(reading, window, HuggingFaceCounter(folder()), known)
    began = time.monotonic()
    found = Counter(await asyncio.gather(*(one(seed, parts, topology, model) for seed in range(n))))
    calls = sum(model.calls.values())
    other = ", ".join(f"{name} {count}" for name, count in found.items() if name != "right")
    share = f"{found['right'] / n:.2f} ({found['right']}/{n})"
    return (
        f"| {topology} | {parts} | {share} | {other or '-'} | {calls / n:.1f} | "
        f"{model.prompt_tokens / n / 1000:.1f}k | {time.monotonic() - began:.0f} |"
    )


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="2,8,32")
    parser.add_argument("--topologies", default=",".join(TOPOLOGIES))
    parser.add_argument("--n", type=int, default=60)
    parser.add_argument("--window", type=int, default=1100)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    reading, known = Reading(*load()), dict[str, str]()
    print("| topology | parts | right | other | calls | prompt tokens | s |\n|---|---|---|---|---|---|---|", flush=True)
    for parts in map(int, options.parts.split(",")):
        for topology in options.topologies.split(","):
            print(asyncio.run(measured(reading, known, topology, parts, options.n, options.window)), flush=True)


if __name__ == "__main__":
    main()
