"""Time and size, in one run, beside other libraries where they do the same job.

    python benchmarks/retrieval/speed.py words BOOK...             # BM25 over real text, at least a million words
    python benchmarks/retrieval/speed.py vectors --count 1000000   # synthetic clustered vectors of 384 dimensions
    python benchmarks/retrieval/speed.py real FILE.npz             # recall on kept MiniLM vectors (see quality.py)

Peers (bm25s, rank_bm25 through langchain_community, FAISS through langchain_community and llama-index) are measured
where they are installed. CPU seconds are of this process alone. Private memory is the unique set size of a new one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from zlib import crc32

import numpy as np
import peers
from numpy.typing import NDArray

from coa.documents import Document, load_all
from coa.retrieval.index import Index
from coa.retrieval.terms import terms

QUERIES = (
    "who hid the letter in the drawer",
    "the captain spoke to the crew about the white whale",
    "what must a package maintainer do about conflicts",
    "how did he propose marriage",
    "money",
)
DIMENSIONS, CENTRES = 384, 2_000
WORDS = 1_000_000


class Clustered:
    """Vectors around common centres: what real embeddings look like, more or less; recall on them is optimistic."""

    name, fingerprint, dimensions, window = "clustered", "clustered:1", DIMENSIONS, 512

    def __init__(self) -> None:
        self._centres = np.random.default_rng(0).normal(size=(CENTRES, DIMENSIONS)).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        random = np.random.default_rng(crc32(texts[0].encode()))
        near = self._centres[random.integers(CENTRES, size=len(texts))]
        found = near + random.normal(size=(len(texts), DIMENSIONS)).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


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
        f"{total * times:,} words ({times} copies of {total:,})\n\n| library | index, CPU-s per 1M words | query, ms |"
    )
    print("|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(folder)
        cpu, _ = timed(lambda: index.add(many))
        units = index.store.units(index.store.find(_everything(), 10_000_000))
        query = median(timed(lambda q=q: index.find(q, 10))[1] for q in QUERIES * 5)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*"))
        index.close()
    scale = 1e6 / (total * times)
    own = f"coa: {len(units):,} units, cut, stemmed, with windows, on disk ({size / 1e6:.0f} MB)"
    print(f"| {own} | {cpu * scale:.1f} | {1000 * query:.1f} |", flush=True)
    texts = [unit.text for unit in units]
    for name, build in peers.LEXICAL.items():
        made: list[Callable[[str], object]] = []
        try:
            cpu, _ = timed(lambda build=build, made=made: made.append(build(texts, terms)))
        except ImportError as error:
            print(f"| {name} | not installed: {error.name} | |")
            continue
        query = median(timed(lambda q=q, made=made: made[0](q))[1] for q in QUERIES * 3)
        print(f"| {name} | {cpu * scale:.1f} | {1000 * query:.1f} |", flush=True)


def vectors(count: int, folder: Path) -> None:
    embedder = Clustered()
    per = 2_000
    if not (folder / "index.db").exists():
        index = Index.create(folder, embedder=embedder)
        text = "\n\n".join(f"{'word ' * 70}number {i}." for i in range(per))
        made = [Document(id=str(n), path=str(n), text=text, sha256="1") for n in range(count // per)]
        cpu, wall = timed(lambda: index.add(made))
        print(f"{count:,} units indexed, their vectors written, FAISS built: {cpu:.0f} CPU-s, {wall:.0f} s")
        index.close()
    size = {path.suffix: path.stat().st_size // 2**20 for path in folder.iterdir()}
    print(f"MB on disk by kind of file: {size}")
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import speed; speed.opened({str(folder)!r})"
    )
    print(json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout))


def opened(folder: str) -> None:
    """Open an index in a new process: milliseconds, memory, the time of queries, and how much they find."""
    import psutil

    from coa.retrieval.sqlite.store import SQLiteStore

    if find_spec("faiss"):
        import faiss  # noqa: F401
    random = np.random.default_rng(99)
    embedder = Clustered()
    centres = embedder._centres[random.integers(CENTRES, size=100)]
    queries = centres + random.normal(size=centres.shape).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
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
    truth = [np.sort(matrix @ query)[-10] for query in queries]
    right = sum(sum(score >= least - 1e-5 for score in f.values()) for f, least in zip(found, truth, strict=True))
    print(
        json.dumps(
            {
                "units": len(matrix),
                "open, ms": round(1000 * wall, 1),
                "open and first query, ms": round(1000 * (wall + first), 1),
                "private memory of both, MB": round((after - before) / 2**20, 1),
                "query, ms (median)": round(1000 * median(wall for _, wall in times), 2),
                "query, CPU-ms (median)": round(1000 * median(cpu for cpu, _ in times), 2),
                "recall@10": right / (10 * len(queries)),
            }
        )
    )


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


def rivals(count: int) -> None:
    """The same vectors in other libraries' FAISS: what opening and a query cost them."""
    embedder = Clustered()
    matrix = np.concatenate([embedder.embed([str(i)] * 10_000) for i in range(count // 10_000)])
    print(f"{count:,} vectors\n\n| library | build, CPU-s | open, ms | private memory, MB | query, ms |")
    print("|---|---|---|---|---|")
    for name, build in peers.DENSE.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                cpu, _ = timed(lambda build=build, folder=folder: build(matrix, folder))
            except ImportError as error:
                print(f"| {name} | not installed: {error.name} | | | |")
                continue
            here = str(Path(__file__).parent)
            code = f"import sys; sys.path.insert(0, {here!r}); import speed; speed.rival({name!r}, {folder!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            print(f"| {name} | {cpu:.1f} | {done.stdout.strip()} |", flush=True)


def rival(name: str, folder: str) -> None:
    import psutil

    queries = Clustered().embed(["q"] * 50)
    opening = peers.OPEN[name]()
    before = psutil.Process().memory_full_info().uss
    made: list[Callable[[NDArray[np.float32]], object]] = []
    _, wall = timed(lambda: made.append(opening(folder)))
    after = psutil.Process().memory_full_info().uss
    query = median(timed(lambda q=q: made[0](q))[1] for q in queries)
    print(f"{1000 * wall:.0f} | {(after - before) / 2**20:.0f} | {1000 * query:.1f}")


def _everything() -> object:
    from coa.retrieval.filters import condition

    return condition({})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("words", "vectors", "real", "rivals"))
    parser.add_argument("paths", nargs="*")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="Keep the index of `vectors` here.")
    args = parser.parse_args()
    if args.what == "words":
        words(args.paths)
    elif args.what == "real":
        real(Path(args.paths[0]))
    elif args.what == "rivals":
        rivals(args.count)
    elif args.folder:
        vectors(args.count, args.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            vectors(args.count, Path(folder))


if __name__ == "__main__":
    main()
