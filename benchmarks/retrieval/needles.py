"""One fact in a long document: which of many documents holds it? After LongEmbed's synthetic tasks (arXiv 2404.12096).

    python benchmarks/retrieval/needles.py DATA [--tokens 256 1024 ...] [--task passkey own shared] [--keep FILE]

`passkey`: a pass key in repeated filler. `shared`: a fact in the same essay in every document; `own`: in a text of each
document's own. A mean over a document forgets the fact where backgrounds differ, and a shared one hides that, so both
are shown. DATA holds ``books/*.txt`` and ``qmsum/``, where the backgrounds are from. As in the paper, a length in
tokens is taken as .75 words each, and accuracy is of the first document. Every method is a function of `METHODS`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import meetings
from vectors import Kept

from coa.documents import Document, load_all
from coa.retrieval.base import Mode
from coa.retrieval.index import Index
from coa.retrieval.ranking import Ranking

WORDS_A_TOKEN = 0.75
TOKENS = (256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
TASKS = ("passkey", "shared", "own")

PEOPLE = ("Mara", "Tobias", "Ilse", "Konrad", "Wanda", "Piet", "Sunniva", "Edgar", "Lotte", "Benno")
THINGS = (
    "the brass key",
    "the old violin",
    "the beekeeper's letter",
    "the silver compass",
    "the torn map",
    "the winter coat",
    "the glass lantern",
    "the recipe book",
    "the wooden chess set",
    "the captain's logbook",
)
PLACES = (
    "under the third stair",
    "behind the bakery oven",
    "in the hollow pear tree",
    "beneath the chapel floor",
    "inside the grandfather clock",
    "at the bottom of the well",
    "above the stable door",
)
SURNAMES = ("Quist", "Harrow", "Lindqvist", "Odum", "Pavlenko", "Reyes", "Sato", "Tamm", "Urquhart", "Vance")
FILLER = "The river is wide. The road is long. The day is warm. Over the hill we go, and home again we come. "


@dataclass(frozen=True)
class Haystack:
    """Documents, and for each of some queries the number of the one that answers it."""

    texts: list[str]
    queries: list[tuple[str, int]]


Best = Callable[[Haystack, Kept], list[int]]
"""For each query the number of the document that a method puts first."""


def haystack(task: str, tokens: int, documents: int, queries: int, pool: Sequence[str]) -> Haystack:
    """Documents of one length; ``pool`` is text of people, paragraph by paragraph."""
    words = round(tokens * WORDS_A_TOKEN)
    numbers = list(range(documents))
    chance = random.Random(f"{task} {tokens}")
    facts = [_passkey(i) if task == "passkey" else _fact(i) for i in numbers]
    stretches = _stretches(pool, round(TOKENS[-1] * WORDS_A_TOKEN))
    texts: list[str] = []
    for i in numbers:
        if task == "passkey":
            background = [FILLER.strip()] * (words // len(FILLER.split()) + 1)
        else:
            background = stretches[0 if task == "shared" else 1 + i]
        texts.append(_with(facts[i][0], background, words, chance))
    chance.shuffle(numbers)
    return Haystack(texts, [(facts[i][1], i) for i in numbers[:queries]])


def _passkey(i: int) -> tuple[str, str]:
    name = f"{PEOPLE[i % 10]} {SURNAMES[i // 10 % 10]}"
    key = 10_000 + 7_919 * (i + 1) % 90_000
    return f"The pass key of {name} is {key}. Remember it: {key} is the pass key.", f"What is the pass key of {name}?"


def _fact(i: int) -> tuple[str, str]:
    """One of ten people and one of ten things: neither alone tells the documents apart."""
    who, thing, place = PEOPLE[i % 10], THINGS[i // 10 % 10], PLACES[(3 * i + i // 10) % len(PLACES)]
    return f"{who} hid {thing} {place} before leaving the village.", f"Where did {who} hide {thing}?"


def _with(fact: str, background: Sequence[str], words: int, chance: random.Random) -> str:
    """The first words of a background, whole paragraphs but for the last, and a fact between two of them."""
    chosen: list[str] = []
    left = words - len(fact.split())
    for paragraph in background:
        if left <= 0:
            break
        chosen.append(" ".join(paragraph.split()[:left]))
        left -= len(paragraph.split())
    chosen.insert(chance.randrange(len(chosen) + 1), fact)
    return "\n\n".join(chosen)


def _stretches(pool: Sequence[str], words: int) -> list[list[str]]:
    """The pool cut into stretches of so many words, none twice."""
    stretches: list[list[str]] = [[]]
    size = 0
    for paragraph in pool:
        if size >= words:
            stretches.append([])
            size = 0
        stretches[-1].append(paragraph)
        size += len(paragraph.split())
    return stretches[:-1]


def paragraphs(data: Path) -> Iterator[str]:
    """Books and meetings, a paragraph or turn after the other."""
    for document in load_all([str(data / "books")]).documents:
        yield from (part for part in document.text.split("\n\n") if part.strip())
    for place in ("qmsum/train", "qmsum/val.jsonl"):
        for case in meetings(data / place):
            yield from (turn for turn in case.text.split("\n") if turn.strip())


def _indexed(mode: Mode, weights: Mapping[str, float] | None = None) -> Best:
    def best(hay: Haystack, embedder: Kept) -> list[int]:
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(folder, embedder=None if mode == "bm25" else embedder)
            index.add([Document(id=str(i), path=str(i), text=t, sha256=str(i)) for i, t in enumerate(hay.texts)])
            found = [index.find(query, 1, mode=mode, how=Ranking(weights=weights or {})) for query, _ in hay.queries]
            index.close()
        return [int(hits[0].span.doc) if hits else -1 for hits in found]

    return best


def _ranked(hay: Haystack, embedder: Kept) -> list[int]:
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder, embedder=embedder)
        index.add([Document(id=str(i), path=str(i), text=t, sha256=str(i)) for i, t in enumerate(hay.texts)])
        found = [index.rank_documents(query, 1, passages=0) for query, _ in hay.queries]
        index.close()
    return [int(hits[0].doc) if hits else -1 for hits in found]


METHODS: dict[str, Best] = {
    "BM25 of units": _indexed("bm25"),
    "dense units (plain chunks)": _indexed("dense"),
    "hybrid of both (default)": _indexed("hybrid"),
    "hybrid, equal weights": _indexed("hybrid", {"dense": 1.0}),
    "whole documents (rank_documents)": _ranked,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--tokens", type=int, nargs="*", default=list(TOKENS))
    parser.add_argument("--task", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--documents", type=int, default=100)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "coa-minilm-needles.npz")
    args = parser.parse_args()
    pool, embedder = list(paragraphs(args.data)), Kept(args.keep)
    for task in args.task:
        print(f"\n{task}: accuracy of the first of {args.documents} documents, {args.queries} queries\n")
        print("| method | " + " | ".join(map(str, args.tokens)) + " |")
        print("|---" * (len(args.tokens) + 1) + "|")
        rows: dict[str, list[float]] = {name: [] for name in METHODS}
        for tokens in args.tokens:
            hay = haystack(task, tokens, args.documents, args.queries, pool)
            for name, best in METHODS.items():
                right = [first == gold for first, (_, gold) in zip(best(hay, embedder), hay.queries, strict=True)]
                rows[name].append(float(np.mean(right)))
            embedder.keep()
        for name, row in rows.items():
            print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |", flush=True)


if __name__ == "__main__":
    main()
