"""``coa index`` and ``coa search``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.run import PARTIAL, as_json, read_stdin
from coa.errors import UsageError

_PREVIEW = 160


def index(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files or folders; - is standard input.")],
    folder: Annotated[Path, typer.Option("--index", help="The folder of the index; made where there is none.")],
    embedder: Annotated[str | None, typer.Option(help="minilm, or a model's folder: adds vectors.")] = None,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Index documents for coa search; known ones are not indexed again."""
    from coa.documents import load_all
    from coa.retrieval.index import Index

    loaded = load_all(paths, stdin=read_stdin)
    for failure in loaded.failures:
        note(f"not indexed: {failure.path}: {failure.error.message}")
    if not loaded.documents:
        raise loaded.failures[0].error
    opened = Index.create(folder, embedder=embedder)
    total, done = len(loaded.documents), 0

    def progress(document: object, new: bool) -> None:
        nonlocal done
        done += 1
        if not quiet:
            note(f"{done}/{total} {'indexed' if new else 'unchanged'}: {getattr(document, 'path', '')}")

    try:
        added = opened.add(loaded.documents, progress)
        known = len(opened.sources)
    finally:
        opened.close()
    failed = [failure.path for failure in loaded.failures]
    summary = {"index": str(folder), "indexed": added, "unchanged": total - added, "documents": known, "failed": failed}
    write_result(as_json(summary) if json else f"{added} indexed, {known} documents in {folder}\n")
    if failed:
        raise typer.Exit(PARTIAL)


def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of an index.")],
    query: Annotated[str, typer.Argument(help="Words or a question.")],
    k: Annotated[int, typer.Option("-k", help="Passages at most.")] = 10,
    mode: Annotated[str | None, typer.Option(help="hybrid, bm25 or dense.")] = None,
    json: o.Json = False,
    debug: o.Debug = False,
) -> None:
    """Find passages in an index, with their exact places."""
    from coa.retrieval.index import Index

    if mode not in (None, "hybrid", "bm25", "dense"):
        raise UsageError(f"unknown mode {mode!r}", hint="Choose one of: hybrid, bm25, dense.")
    opened = Index.open(folder)
    try:
        hits = opened.find(query, k, mode=mode)
    finally:
        opened.close()
    if json:
        rows = [
            {"path": hit.path, **asdict(hit.span), "page": hit.page, "score": hit.score, "parts": dict(hit.parts)}
            | {"quote": hit.text}
            for hit in hits
        ]
        write_result(as_json({"query": query, "hits": rows}))
        return
    for number, hit in enumerate(hits, 1):
        place = f"{hit.path}:{hit.span.start}-{hit.span.end}" + (f" page {hit.page}" if hit.page else "")
        write_result(f"[{number}] {place} ({hit.score:.2f})\n    {' '.join(hit.text.split())[:_PREVIEW]}\n")
    if not hits:
        note("nothing found")
