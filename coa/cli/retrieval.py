"""``coa index`` and ``coa search``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.reranking import RerankOptions, planned, reranked, summary
from coa.cli.run import PARTIAL, as_json, read_stdin
from coa.errors import UsageError
from coa.report import printable

if TYPE_CHECKING:
    from coa.retrieval.base import Hit, Mode, Value
    from coa.retrieval.whole import DocumentHit

_PREVIEW = 160
_CHOICES = {
    "mode": ("hybrid", "bm25", "dense"),
    "fusion": ("z", "rrf"),
    "order": ("document", "best_last", "score"),
    "expand": ("window", "section", "parent"),
}


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

    def filled(made: int, of: int) -> None:
        if not quiet:
            note(f"vectors: {made}/{of} passages")

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


@flattened
def search(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of an index.")],
    query: Annotated[list[str], typer.Argument(help="Words or a question; or several ways of asking for the same.")],
    reranking: RerankOptions,
    manner: o.Manner,
    k: Annotated[int, typer.Option("-k", help="Passages at most.")] = 10,
    mode: Annotated[str | None, typer.Option(help="hybrid, bm25 or dense.")] = None,
    where: Annotated[
        str | None, typer.Option(help='A filter: \'{"page": {"gte": 3}}\'; see docs/retrieval.md.')
    ] = None,
    fusion: Annotated[str, typer.Option(help="z or rrf: how a hybrid search adds its parts.")] = "z",
    smooth: Annotated[float | None, typer.Option(help="Share of the neighbours' scores, 0 to 1.")] = None,
    diversity: Annotated[float, typer.Option(help="0 takes the best, 1 the most different (MMR).")] = 0.0,
    least: Annotated[float | None, typer.Option(help="The least cosine of a passage (RAPID takes 0.3).")] = None,
    context: Annotated[int | None, typer.Option(metavar="TOKENS", help="Join and order what fits.")] = None,
    order: Annotated[str, typer.Option(help="With --context: document, best_last or score.")] = "document",
    expand: Annotated[str | None, typer.Option(help="With --context: window, section or parent.")] = None,
    documents: Annotated[bool, typer.Option("--documents", help="Rank whole documents, with their passages.")] = False,
) -> None:
    """Find passages in an index, with their exact places; or the documents that are about something."""
    from coa.retrieval.index import Index
    from coa.retrieval.ranking import Ranking
    from coa.retrieval.rapid import near_enough

    _check_choices(mode=mode, fusion=fusion, order=order, expand=expand)
    if documents:
        other = {"--rerank": reranking.rerank, "--context": context, "--least": least, "--smooth": smooth}
        _only_passages({**other, "--diversity": diversity or None, "--dry-run": manner.dry_run or None})
        _search_documents(folder, query, k, mode, where, manner)
        return
    given: dict[str, Any] = {"mode": mode, "fusion": fusion, "diversity": diversity, "smooth": smooth}
    how = replace(Ranking(), **{name: value for name, value in given.items() if value is not None})
    opened = Index.open(folder)
    second = None
    try:
        hits = opened.find(query, reranking.candidates(k), how=how, where=None if where is None else _where(where))
        if least is not None:
            hits = near_enough(hits, least)
        if manner.dry_run:
            write_result(planned(query[0], hits, reranking, manner), manner.output)
            return
        if reranking.rerank is not None:
            second = reranked(query[0], hits, reranking, manner)
            hits = list(second.hits[:k])
        if context is not None:
            hits = list(opened.context(hits, context, order=order, expand=expand).passages)
    finally:
        opened.close()
    if manner.json:
        found = {"query": query[0] if len(query) == 1 else query, "hits": [_row(hit) for hit in hits]}
        write_result(as_json(found | ({} if second is None else {"rerank": summary(second)})), manner.output)
        return
    preview = None if context is not None else _PREVIEW
    write_result("".join(_line(number, hit, preview) for number, hit in enumerate(hits, 1)), manner.output)
    if not hits:
        note("nothing found")


def _only_passages(given: Mapping[str, object]) -> None:
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option} is for passages", hint="Leave it out, or leave out --documents.")


def _search_documents(
    folder: str, query: list[str], k: int, mode: str | None, where: str | None, manner: o.Manner
) -> None:
    from coa.retrieval.index import Index

    opened = Index.open(folder)
    try:
        wanted = None if where is None else _where(where)
        found = opened.rank_documents(query, k, mode=cast("Mode | None", mode), where=wanted)
    finally:
        opened.close()
    if manner.json:
        asked = query[0] if len(query) == 1 else query
        write_result(as_json({"query": asked, "documents": [_document_row(one) for one in found]}), manner.output)
        return
    write_result("".join(_document_line(number, one) for number, one in enumerate(found, 1)), manner.output)
    if not found:
        note("nothing found")


def _document_line(number: int, found: DocumentHit) -> str:
    why = ", ".join(f"{part} {score:.2f}" for part, score in found.parts.items())
    passages = "".join(f"    {_place(hit)}: {' '.join(hit.text.split())[:_PREVIEW]}\n" for hit in found.hits)
    return printable(f"[{number}] {found.path} ({found.score:.2f}: {why})\n{passages}")


def _document_row(found: DocumentHit) -> dict[str, object]:
    return {
        "path": found.path,
        "doc": found.doc,
        "score": found.score,
        "parts": dict(found.parts),
        "hits": [_row(hit) for hit in found.hits],
    }


def _line(number: int, hit: Hit, preview: int | None) -> str:
    page = f" (page {hit.page})" if hit.page else ""
    place = f"{hit.path}{page}, {_place(hit)}"
    section = f", {' / '.join(hit.section)}" if hit.section else ""
    text = hit.text if preview is None else " ".join(hit.text.split())[:preview]
    return printable(f"[{number}] {place}{section} ({hit.score:.2f})\n    {text}\n")


def _place(hit: Hit) -> str:
    return f"characters {hit.span.start}-{hit.span.end}"


def _row(hit: Hit) -> dict[str, object]:
    """A hit as ``--json`` prints it: ``quote`` stands in the document to the letter, a ``summary`` does not."""
    said = {"quote": hit.text} if hit.kind == "text" else {hit.kind: hit.text}
    place: dict[str, object] = {
        "path": hit.path,
        "doc": hit.span.doc,
        "start": hit.span.start,
        "end": hit.span.end,
        "page": hit.page,
    }
    why: dict[str, object] = {
        "section": list(hit.section),
        "fields": dict(hit.fields),
        "score": hit.score,
        "parts": dict(hit.parts),
    }
    return {**place, **why, **said}


def _check_choices(**given: str | None) -> None:
    for name, value in given.items():
        if value is not None and value not in _CHOICES[name]:
            raise UsageError(f"unknown {name} {value!r}", hint=f"Choose one of: {', '.join(_CHOICES[name])}.")


def _where(text: str) -> Mapping[str, Any]:
    try:
        value: object = loads(text)
    except (JSONDecodeError, RecursionError) as error:
        raise UsageError(f"--where is no JSON: {error}", hint="Write '{\"field\": value}'.") from None
    if not isinstance(value, dict):
        raise UsageError("--where is no JSON object", hint="Write '{\"field\": value}'.")
    return cast("dict[str, Any]", value)


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
