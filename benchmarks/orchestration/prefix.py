"""Ten questions over one document on a real vLLM: how many prompt tokens does its prefix cache serve?

    COA_VLLM_PYTHON=/path/to/python python benchmarks/orchestration/prefix.py [--window 4096] [--peers PYTHON]

vLLM serves a tiny random model: what it says is noise, what its cache does is not. The shares are vLLM's own counters.
LangChain is asked by its question answering chains, with parts as long as coa's.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from contenders import Given

import coa
from coa.serving.vllm.launch import Launch, interpreter, running
from coa.serving.vllm.probe import probe
from coa.serving.vllm.tiny import make

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
BOOK = DOCUMENTS / "lighthouse_log.txt"
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
CONTENDERS = Path(__file__).with_name("contenders.py")


def ours(topology: str, given: Given) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for question in given["questions"]:
            options = {"model": "vllm:tiny", "base_url": given["base_url"], "window": given["window"]}
            coa.ask(BOOK, question, topology=topology, run_dir=folder, **options)


def theirs(kind: str, given: Given, python: str) -> None:
    subprocess.run([python, str(CONTENDERS), f"langchain-questions {kind}", json.dumps(given)], check=True, stdout=2)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--window", type=int, default=4096)
    parser.add_argument("--questions", type=int, default=10)
    parser.add_argument("--peers", default=sys.executable)
    options = parser.parse_args()
    os.environ.update(OFFLINE)
    asked = [each["question"] for each in json.loads((DOCUMENTS / "questions.json").read_text())][: options.questions]
    with tempfile.TemporaryDirectory() as folder:
        model, port = make(Path(folder) / "tiny"), free_port()
        launch = Launch(
            model=str(model), profile="dense", port=port, name="tiny", wait=420, extra=("--dtype", "float32")
        )
        with running(launch, Path(folder) / "vllm.log", found=interpreter()) as server:
            base_url = f"{server.url}/v1"
            given: Given = {"base_url": base_url, "window": options.window, "questions": asked, "book": str(BOOK)}
            plan = coa.plan(BOOK, asked[0], model="vllm:tiny", base_url=base_url, window=options.window)
            given |= {"chunk_chars": len(coa.load(BOOK).text) // plan.chunks, "model": "tiny"}
            print(f"vLLM {server.version}, {len(asked)} questions, {plan.chunks} parts\n")
            print("| | prompt tokens | served from the cache | share |\n|---|---|---|---|")
            for name, work in {
                "coa `chain`": lambda: ours("chain", given),
                "coa `tree`": lambda: ours("tree", given),
                "langchain refine": lambda: theirs("refine", given, options.peers),
                "langchain map_reduce": lambda: theirs("map_reduce", given, options.peers),
            }.items():
                before = probe(server.url)
                work()
                after = probe(server.url)
                queries = (after.prefix_queries or 0) - (before.prefix_queries or 0)
                hits = (after.prefix_hits or 0) - (before.prefix_hits or 0)
                print(f"| {name} | {queries / 1000:.0f}k | {hits / 1000:.0f}k | {hits / queries:.2f} |", flush=True)


if __name__ == "__main__":
    main()
