"""Which of 197 meetings is a summary of? LongEmbed's QMSum task (arXiv 2404.12096), nDCG@10.

    python benchmarks/retrieval/documents.py DATA [--keep FILE]

The documents are the meetings of train and val, the queries the annotators' answers to their
questions, as in the paper. A document is ranked
by its units: by the best, or by the sum of the best few. BM25 over whole documents (bm25s, same terms) stands beside.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from data import meetings
from vectors import Kept

from coa.documents import Document
from coa.retrieval.base import Hit
from coa.retrieval.index import Index
from coa.retrieval.ranking import Ranking
from coa.retrieval.terms import terms

MANY = 300
METHODS = {
    "BM25": Ranking(mode="bm25", candidates=MANY),
    "dense": Ranking(mode="dense", candidates=MANY),
    "hybrid": Ranking(candidates=MANY),
}


def gain(ranked: Sequence[str], right: str) -> float:
    return 1 / math.log2(ranked.index(right) + 2) if right in ranked[:10] else 0.0


def documents_of(hits: Sequence[Hit], few: int) -> list[str]:
    """Documents by the sum of their best few units' scores, each above the lowest found."""
    low = min((hit.score for hit in hits), default=0.0)
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for hit in hits:
        scores[hit.span.doc].append(hit.score - low)
    return sorted(scores, key=lambda doc: -sum(sorted(scores[doc], reverse=True)[:few]))


def whole(texts: dict[str, str], queries: Sequence[tuple[str, str]]) -> float:
    import bm25s

    names = list(texts)
    index = bm25s.BM25()
    index.index([terms(texts[name]) for name in names], show_progress=False)
    gains: list[float] = []
    for query, right in queries:
        found, _ = index.retrieve([terms(query)], k=10, show_progress=False)
        gains.append(gain([names[i] for i in found[0]], right))
    return fmean(gains)


def all_queries(data: Path) -> tuple[dict[str, str], list[tuple[str, str]]]:
    texts: dict[str, str] = {}
    queries: list[tuple[str, str]] = []
    for place in ("qmsum/train", "qmsum/val.jsonl"):
        path = data / place
        raws = sorted(path.glob("*.json")) if path.is_dir() else None
        rows = [json.loads(p.read_text()) for p in raws] if raws else map(json.loads, path.read_text().splitlines())
        for case, raw in zip(meetings(path), rows, strict=True):
            texts[case.name] = case.text
            asked = [*raw["general_query_list"], *raw["specific_query_list"]]
            queries += [(one["answer"], case.name) for one in asked]
    return texts, queries


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "coa-minilm.npz")
    args = parser.parse_args()
    texts, queries = all_queries(args.data)
    print(f"{len(texts)} documents, {len(queries)} queries\n\n| search | nDCG@10 |\n|---|---|")
    print(f"| BM25 over whole documents (bm25s) | {whole(texts, queries):.3f} |", flush=True)
    embedder = Kept(args.keep)
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder, embedder=embedder)
        index.add([Document(id=name, path=name, text=text, sha256=name) for name, text in texts.items()])
        for name, how in METHODS.items():
            found = [(index.find(query, MANY, how=how), right) for query, right in queries]
            for few in (1, 3, 10, MANY):
                value = fmean(gain(documents_of(hits, few), right) for hits, right in found)
                print(f"| {name}, units, the best {few} of a document | {value:.3f} |", flush=True)
        index.close()
    embedder.keep()


if __name__ == "__main__":
    main()
