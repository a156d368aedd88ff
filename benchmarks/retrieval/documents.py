"""Which of 197 meetings is a summary of? LongEmbed's QMSum task (arXiv 2404.12096), nDCG@10.

    python benchmarks/retrieval/documents.py DATA [--train] [--dense] [--keep FILE]

The documents are the meetings of train and val, the queries the annotators' answers to their questions, each once, as
in the paper. Every part of `Index.rank_documents` is shown alone; BM25 over whole documents (bm25s, same terms) stands
beside. What was chosen was chosen on ``--train``; the queries of val's meetings are shown by themselves too.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

from data import meetings
from vectors import Kept

from coa.documents import Document
from coa.retrieval.index import Index
from coa.retrieval.terms import terms
from coa.retrieval.whole import DocumentRanker, RankedDocument


def gain(ranked: Sequence[str], right: str) -> float:
    return 1 / math.log2(ranked.index(right) + 2) if right in ranked[:10] else 0.0


def by_part(found: Sequence[RankedDocument], parts: Sequence[str]) -> list[str]:
    """Documents by some parts of the search: their scores added as they are."""
    low = {part: min((one.parts[part] for one in found if part in one.parts), default=0.0) for part in parts}
    scores = {one.doc: sum(one.parts.get(part, low[part]) for part in parts) for one in found}
    return sorted(scores, key=lambda doc: -scores[doc])


def whole(texts: dict[str, str], queries: Sequence[tuple[str, str]]) -> float:
    # bm25s has no types: it is handled as Any here and nowhere else.
    bm25s: Any = import_module("bm25s")
    names = list(texts)
    index = bm25s.BM25()
    index.index([terms(texts[name]) for name in names], show_progress=False)
    gains: list[float] = []
    for query, right in queries:
        best: list[int] = index.retrieve([terms(query)], k=10, show_progress=False)[0][0].tolist()
        gains.append(gain([names[i] for i in best], right))
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
    first = {query: right for query, right in reversed(queries)}
    return texts, [(query, first[query]) for query in dict.fromkeys(query for query, _ in queries)]


def ranked(ranker: DocumentRanker, query: str, right: str, everything: int) -> dict[str, float]:
    """The gain of each part of the search and of all of them together."""
    found = ranker.rank([query], everything)
    names = sorted({part for one in found for part in one.parts})
    rows = {part: by_part(found, [part]) for part in names}
    rows["words + pairs"] = by_part(found, ["words", "pairs"])
    rows["all of these (what rank_documents does)"] = [one.doc for one in found]
    return {name: gain(row, right) for name, row in rows.items()}


def table(title: str, gains: Sequence[dict[str, float]]) -> None:
    print(f"\n{title}, {len(gains)} queries\n\n| part | nDCG@10 |\n|---|---|")
    for name in gains[0]:
        print(f"| {name} | {fmean(one[name] for one in gains):.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--train", action="store_true", help="only train's documents and queries: to choose with")
    parser.add_argument("--dense", action="store_true", help="embed every passage with MiniLM (20 minutes)")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "coa-minilm.npz")
    args = parser.parse_args()
    texts, queries = all_queries(args.data)
    if args.train:
        texts = {name: text for name, text in texts.items() if name.startswith("train")}
        queries = [(query, right) for query, right in queries if right in texts]
    print(f"{len(texts)} documents, {len(queries)} queries")
    with suppress(ImportError):
        print(f"BM25 over whole documents (bm25s): {whole(texts, queries):.3f}", flush=True)
    embedder = Kept(args.keep) if args.dense else None
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder, embedder=embedder)
        index.add([Document(id=name, path=name, text=text, sha256=name) for name, text in texts.items()])
        ranker = DocumentRanker(index.store, embedder)
        gains = [(right, ranked(ranker, query, right, len(texts))) for query, right in queries]
        index.close()
    table("all", [one for _, one in gains])
    if not args.train:
        table("of val's meetings alone", [one for right, one in gains if not right.startswith("train")])
    if embedder is not None:
        embedder.keep()


if __name__ == "__main__":
    main()
