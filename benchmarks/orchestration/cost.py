"""What each topology costs, beside LangChain's and LlamaIndex's chains over the same text and the same server.

    python benchmarks/orchestration/cost.py [--chars 400000] [--window 8192] [--slots 8] [--peers PYTHON]

The server takes as long as its speed says (see `server.Speed`), works on ``--slots`` requests at once and lets the
others wait. Calls, tokens and the critical path (dependent calls) are its own counts. ``--peers`` names an interpreter
with ``langchain-classic langchain-openai langchain-text-splitters llama-index-core llama-index-llms-openai-like``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from run import prose
from server import Speed, served

import coa
from coa.pipelines.registry import TOPOLOGIES

PEERS = ("langchain refine", "langchain map_reduce", "llama_index refine", "llama_index tree_summarize")
PATHS = ("chain bidirectional", "chain permutations:5")
CONTENDERS = Path(__file__).with_name("contenders.py")


def measure(name: str, python: str, speed: Speed, given: dict[str, Any]) -> dict[str, Any]:
    counts: dict[str, Any] = {}
    with served(speed, counts) as base_url:
        told = json.dumps({**given, "base_url": base_url})
        done = subprocess.run([python, str(CONTENDERS), name, told], capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:100], **counts}
    return {**json.loads(done.stdout.splitlines()[-1]), **counts}


def row(name: str, window: int, found: dict[str, Any], chain: dict[str, Any]) -> str:
    if "failed" in found:
        return f"| {name} | {window} | {found['calls']} | | | | failed: {found['failed']} | | |"
    return (
        f"| {name} | {window:,} | {found['calls']} | {found['prompt_tokens'] / 1000:.0f}k | "
        f"{found['completion_tokens'] / 1000:.1f}k | {found['depth']} | {found['wall']:.1f} | "
        f"{found['wall'] / chain['wall']:.2f} | {found['cpu']:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chars", type=int, default=400_000)
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--peers", default=sys.executable)
    options = parser.parse_args()
    speed = Speed(slots=options.slots)
    with tempfile.TemporaryDirectory() as folder:
        book = Path(folder) / "book.txt"
        book.write_text(prose(options.chars))
        chunks = coa.plan(book, model="openai:fake", base_url="http://127.0.0.1:9/v1", window=options.window).chunks
        given = {"book": str(book), "window": options.window, "concurrency": options.slots}
        given["chunk_chars"] = options.chars // chunks
        print(f"{options.chars:,} characters, {chunks} parts, {speed}\n")
        print("| | window | calls | prompt | reply | critical path | s | beside chain | CPU s |")
        print("|---|---|---|---|---|---|---|---|---|")
        chain: dict[str, Any] = {}
        for name in (*TOPOLOGIES, *PATHS):
            whole = {"window": max(options.window, options.chars // 2)} if name == "single" else {}
            found = measure(f"coa {name}", sys.executable, speed, given | whole)
            chain = chain or found
            print(row(f"coa `{name}`", (given | whole)["window"], found, chain), flush=True)
        for name in PEERS:
            print(row(name, options.window, measure(name, options.peers, speed, given), chain), flush=True)


if __name__ == "__main__":
    main()
