"""LongEmbed's two synthetic tasks (arXiv 2404.12096), with the needle in one background and in different ones.

Each document hides one fact about one person; the query asks for it; right is the document that holds it. ``shared``
hides all needles in one and the same text, as published: what is alike in all documents then cancels out of their
vectors. ``own`` gives each document a text of its own, as real collections do.

    python benchmarks/retrieval/longembed.py --texts FOLDER_OF_LONG_TEXTS

Figures are the share of queries whose document comes first; chance is one in as many documents.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import coa
from coa.documents import Document
from coa.retrieval.embedders import SentenceTransformerEmbedder, resolve_embedder
from coa.retrieval.index import Index
from coa.retrieval.longembed.methods import LongEmbedder

PEOPLE = (
    "Alba",
    "Bram",
    "Cora",
    "Dirk",
    "Elin",
    "Finn",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaja",
    "Lars",
    "Mina",
    "Nils",
    "Olga",
    "Piet",
)
THINGS = (
    "goats",
    "looms",
    "clocks",
    "kites",
    "violins",
    "beehives",
    "canoes",
    "maps",
    "lanterns",
    "ploughs",
    "saddles",
    "kettles",
)
FILLER: str = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again. "
WORDS_A_TOKEN = 0.75
WHOLE = ("gp", "rp", "pi")
TASKS = ("passkey", "needle, shared", "needle, own")
WAYS = ("passages", "cut", "pcw", *WHOLE, "unscaled")
"""``unscaled`` is ``gp`` without scaled queries."""


@dataclass(frozen=True)
class Case:
    """Documents, and for each the query that it answers."""

    task: str
    tokens: int
    documents: tuple[str, ...]
    queries: tuple[str, ...]


def cases(texts: Sequence[str], lengths: Sequence[tuple[int, int]], seed: int) -> Iterator[Case]:
    dice = random.Random(seed)
    for tokens, n in lengths:
        words = int(tokens * WORDS_A_TOKEN)
        people = dice.sample(PEOPLE, n)
        keys = [dice.randint(10_000, 99_999) for _ in people]
        filler = (FILLER * (words // 15 + 2)).split()[: words - 10]
        facts = [f"The pass key of {name} is {key}. Remember it." for name, key in zip(people, keys, strict=True)]
        yield _case("passkey", tokens, facts, [filler] * n, [f"What is the pass key of {p}?" for p in people], dice)
        things = [dice.choice(THINGS) for _ in people]
        facts = [
            f"Every winter {name} mends {thing} in a barn by the river."
            for name, thing in zip(people, things, strict=True)
        ]
        queries = [f"What does {name} repair in the cold season?" for name in people]
        pieces = list(_pieces(texts, words - 10, n, dice))
        yield _case("needle, shared", tokens, facts, [pieces[0]] * n, queries, dice)
        yield _case("needle, own", tokens, facts, pieces, queries, dice)


def _pieces(texts: Sequence[str], words: int, n: int, dice: random.Random) -> Iterator[list[str]]:
    """Stretches of different texts, or of different parts of one."""
    for number in range(n):
        split = texts[number % len(texts)].split()
        start = dice.randint(0, max(0, len(split) - words))
        yield split[start : start + words]


def _case(
    task: str,
    tokens: int,
    facts: Sequence[str],
    backgrounds: Sequence[list[str]],
    queries: Sequence[str],
    dice: random.Random,
) -> Case:
    documents: list[str] = []
    for fact, words in zip(facts, backgrounds, strict=True):
        place = dice.randint(0, len(words))
        documents.append(" ".join([*words[:place], fact, *words[place:]]))
    return Case(task=task, tokens=tokens, documents=tuple(documents), queries=tuple(queries))


def by_index(case: Case, model: SentenceTransformerEmbedder) -> dict[str, float]:
    """The document of the best passage, as this library searches: by vectors, by words, by both."""
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder, embedder=model)
        index.add(
            [Document(id=f"d{i}", path=f"d{i}", text=text, sha256=f"{i}") for i, text in enumerate(case.documents)]
        )
        found = {
            mode: sum(index.find(query, 1, mode=mode)[0].path == f"d{i}" for i, query in enumerate(case.queries))  # type: ignore[arg-type]
            for mode in ("dense", "bm25", "hybrid")
        }
        index.close()
    names = {"dense": "passages, vectors", "bm25": "passages, words", "hybrid": "passages, both"}
    return {names[mode]: right / len(case.queries) for mode, right in found.items()}


def by_vector(case: Case, embedder: LongEmbedder, queries: Sequence[str], documents: Sequence[str]) -> float:
    """One vector a document."""
    likeness = embedder.embed(queries) @ embedder.embed(documents).T
    return float((likeness.argmax(axis=1) == range(len(case.queries))).mean())


def measured(
    case: Case, model: SentenceTransformerEmbedder, ways: Sequence[str], native: int | None
) -> dict[str, float]:
    """The share of right documents by each way that is asked for."""
    found = by_index(case, model) if "passages" in ways else {}
    if "cut" in ways:
        beginnings = [" ".join(text.split()[: int(model.window * 0.7)]) for text in case.documents]
        found["cut at the window"] = by_vector(case, LongEmbedder(model, "pcw"), case.queries, beginnings)
    for way in ways:
        if way in ("pcw", *WHOLE, "unscaled"):
            method = "gp" if way == "unscaled" else way
            length = None if way == "pcw" else native
            embedder = LongEmbedder(model, method, native=length, scaled=way != "unscaled")
            found[way] = by_vector(case, embedder, case.queries, case.documents)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--embedder", default="minilm")
    parser.add_argument("--lengths", default="256:10,1024:10,4096:8,32768:5", help="TOKENS:DOCUMENTS,...")
    parser.add_argument("--longest", type=int, default=4096, help="beyond it only passages and parallel windows")
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--native", type=int, help="native length of gp, rp and pi; what the model declares by default")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    model = resolve_embedder(options.embedder)
    assert isinstance(model, SentenceTransformerEmbedder)
    texts = [coa.load(path).text for path in sorted(options.texts.iterdir())]
    lengths = [(int(tokens), int(n)) for tokens, n in (pair.split(":") for pair in options.lengths.split(","))]
    for case in cases(texts, lengths, options.seed):
        if case.task not in options.tasks:
            continue
        ways = [way for way in options.ways if case.tokens <= options.longest or way not in (*WHOLE, "unscaled")]
        began = time.process_time()
        row = {
            "task": case.task,
            "tokens": case.tokens,
            "documents": len(case.documents),
            **measured(case, model, ways, options.native),
        }
        print(json.dumps(row | {"cpu_seconds": round(time.process_time() - began, 1)}), flush=True)


if __name__ == "__main__":
    main()
