"""``coa search``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from json import JSONDecodeError, loads
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from coa.cli import options as o
from coa.cli.console import note, write_result
from coa.cli.flatten import flattened
from coa.cli.reranking import RerankOptions, planned, reranked, summary
from coa.cli.run import as_json
from coa.errors import UsageError
from coa.report import printable

if TYPE_CHECKING:
    from coa.retrieval.base import Hit, Mode
    from coa.retrieval.index import Index
    from coa.retrieval.ranking import Ranking
    from coa.retrieval.whole import DocumentHit

_PREVIEW = 160
_CHOICES = {
    "mode": ("hybrid", "bm25", "dense"),
    "fusion": ("z", "rrf"),
    "order": ("document", "best_last", "score"),
    "expand": ("window", "section", "parent"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindOptions:
    """Which passages are found, and how they are put together."""

    mode: Annotated[str | None, typer.Option(help="hybrid, bm25 or dense.")] = None
    where: Annotated[str | None, typer.Option(help='A filter: \'{"page": {"gte": 3}}\'; see docs/retrieval.md.')] = None
    fusion: Annotated[str, typer.Option(help="z or rrf: how a hybrid search adds its parts.")] = "z"
    smooth: Annotated[float | None, typer.Option(help="Share of the neighbours' scores, 0 to 1.")] = None
    diversity: Annotated[float, typer.Option(help="0 takes the best, 1 the most different (MMR).")] = 0.0
    least: Annotated[float | None, typer.Option(help="The least cosine of a passage (RAPID takes 0.3).")] = None
    context: Annotated[int | None, typer.Option(metavar="TOKENS", help="Join and order what fits.")] = None
    order: Annotated[str, typer.Option(help="With --context: document, best_last or score.")] = "document"
    expand: Annotated[str | None, typer.Option(help="With --context: window, section or parent.")] = None

    def check(self) -> None:
        """Refuse unknown names before the index is opened.

        Raises:
            UsageError: a name is none of the choices.
        """
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value is not None and value not in choices:
                raise UsageError(f"unknown {name} {value!r}", hint=f"Choose one of: {', '.join(choices)}.")

    def ranking(self) -> Ranking:
        """How passages are ranked; what was not said is as it is by default."""
        from coa.retrieval.ranking import Ranking

        given: dict[str, Any] = {name: getattr(self, name) for name in ("mode", "fusion", "diversity", "smooth")}
        return replace(Ranking(), **{name: value for name, value in given.items() if value is not None})

    def filter(self) -> Mapping[str, Any] | None:
        """What ``--where`` says.

        Raises:
            UsageError: it is no JSON object.
        """
        return None if self.where is None else _where(self.where)


@flattened
def search(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The folder of an index.")],
    query: Annotated[list[str], typer.Argument(help="Words or a question; or several ways of asking for the same.")],
    finding: FindOptions,
    reranking: RerankOptions,
    manner: o.Manner,
    k: Annotated[int, typer.Option("-k", help="Passages at most.")] = 10,
    documents: Annotated[bool, typer.Option("--documents", help="Rank whole documents, with their passages.")] = False,
) -> None:
    """Find passages in an index, with their exact places; or the documents that are about something."""
    from coa.retrieval.index import Index

    finding.check()
    if documents:
        _only_passages(finding, reranking, manner)
        _search_documents(folder, query, k, finding, manner)
        return
    opened = Index.open(folder)
    second = None
    try:
        hits = _found(opened, query, reranking.candidates(k), finding)
        if manner.dry_run:
            write_result(planned(query[0], hits, reranking, manner), manner.output)
            return
        if reranking.rerank is not None:
            second = reranked(query[0], hits, reranking, manner)
            hits = list(second.hits[:k])
        shown = _joined(opened, hits, finding)
    finally:
        opened.close()
    if manner.json:
        found = {"query": query[0] if len(query) == 1 else query, "hits": [_row(hit) for hit in shown]}
        write_result(as_json(found | ({} if second is None else {"rerank": summary(second)})), manner.output)
        return
    preview = None if finding.context is not None else _PREVIEW
    write_result("".join(_line(number, hit, preview) for number, hit in enumerate(shown, 1)), manner.output)
    if not shown:
        note(f"nothing fits in {finding.context} tokens" if hits else "nothing found")


def _found(opened: Index, query: list[str], k: int, finding: FindOptions) -> list[Hit]:
    from coa.retrieval.rapid import near_enough

    hits = opened.find(query, k, how=finding.ranking(), where=finding.filter())
    return hits if finding.least is None else near_enough(hits, finding.least)


def _joined(opened: Index, hits: Sequence[Hit], finding: FindOptions) -> Sequence[Hit]:
    """The passages, or those that fit into ``--context``, joined and in its order."""
    if finding.context is None:
        return hits
    return opened.context(hits, finding.context, order=finding.order, expand=finding.expand).passages


def _only_passages(finding: FindOptions, reranking: RerankOptions, manner: o.Manner) -> None:
    given = {
        "--rerank": reranking.rerank,
        "--context": finding.context,
        "--least": finding.least,
        "--smooth": finding.smooth,
        "--diversity": finding.diversity or None,
        "--dry-run": manner.dry_run or None,
    }
    for option, value in given.items():
        if value is not None:
            raise UsageError(f"{option} is for passages", hint="Leave it out, or leave out --documents.")


def _search_documents(folder: str, query: list[str], k: int, finding: FindOptions, manner: o.Manner) -> None:
    from coa.retrieval.index import Index

    opened = Index.open(folder)
    try:
        found = opened.rank_documents(query, k, mode=cast("Mode | None", finding.mode), where=finding.filter())
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


def _where(text: str) -> Mapping[str, Any]:
    try:
        value: object = loads(text)
    except (JSONDecodeError, RecursionError) as error:
        raise UsageError(f"--where is no JSON: {error}", hint="Write '{\"field\": value}'.") from None
    if not isinstance(value, dict):
        raise UsageError("--where is no JSON object", hint="Write '{\"field\": value}'.")
    return cast("dict[str, Any]", value)
