"""``coa index``."""

from __future__ import annotations

from itertools import count
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING, Annotated

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.run import PARTIAL, as_json, read_stdin
from coa.errors import UsageError

if TYPE_CHECKING:
    from coa.documents import Document, Loaded
    from coa.retrieval.base import Value
    from coa.retrieval.index import Filled, Progress


def index(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Files or folders; - is standard input.")],
    folder: Annotated[
        str,
        typer.Option(
            "--index", help="The folder of the index, made where there is none; lancedb://FOLDER, qdrant://HOST/NAME."
        ),
    ],
    embedder: Annotated[
        str | None,
        typer.Option(help="minilm, bge-m3 ..., openai:NAME@URL or a model's folder: adds vectors. +pcw: long texts."),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Say something about these documents, for --where.")
    ] = None,
    compact: Annotated[bool, typer.Option(help="Afterwards, give back what deleted passages held.")] = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Index documents for coa search; known ones are not indexed again."""
    from coa.retrieval.index import Index

    loaded = _loaded(paths)
    total = len(loaded.documents)
    progress, filled = (None, None) if quiet else _told(total)
    opened = Index.create(folder, embedder=embedder)
    try:
        added = opened.add(loaded.documents, progress, fields=_fields(field or []), filled=filled)
        if compact:
            opened.compact()
        known = len(opened.sources)
    finally:
        opened.close()
    failed = [failure.path for failure in loaded.failures]
    summary = {"index": str(folder), "indexed": added, "unchanged": total - added, "documents": known, "failed": failed}
    write_result(as_json(summary) if json else f"{added} indexed, {known} documents in {folder}\n")
    if failed:
        raise typer.Exit(PARTIAL)


def _loaded(paths: list[str]) -> Loaded:
    """What can be loaded; what cannot is said.

    Raises:
        InputError: nothing can.
    """
    from coa.documents import load_all

    loaded = load_all(paths, stdin=read_stdin)
    if not loaded.documents and len(loaded.failures) == 1:
        raise loaded.failures[0].error
    for failure in loaded.failures:
        note(f"not indexed: {failure.path}: {failure.error.message}")
    if not loaded.documents:
        raise loaded.failures[0].error
    return loaded


def _told(total: int) -> tuple[Progress, Filled]:
    """A line for each of so many documents, and for the vectors."""
    numbers = count(1)

    def progress(document: Document, new: bool) -> None:
        note(f"{next(numbers)}/{total} {'indexed' if new else 'unchanged'}: {document.path}")

    return progress, lambda made, of: note(f"vectors: {made}/{of} passages")


def _fields(pairs: list[str]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"{pair!r} is no field", hint="Write --field name=value.")
        try:
            read: object = loads(value)
        except (JSONDecodeError, RecursionError):
            read = value
        fields[name] = read if isinstance(read, int | float | bool) else value
    return fields
