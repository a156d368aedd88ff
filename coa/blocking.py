"""The plain functions: each runs its async twin from `coa.aio` to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from coa import aio
from coa.documents import Document
from coa.forecast import Plan
from coa.sources import SourceLike
from coa.types import Answer
from coa.verification import Pair, Verification

if TYPE_CHECKING:
    from coa.aggregation.run import Aggregation
    from coa.aggregation.schema import SchemaLike
    from coa.attribution.trace import Trace
    from coa.retrieval.index import Index

T = TypeVar("T")


def load(source: str | Path | bytes) -> Document:
    """Load one document. See `coa.documents.load`."""
    return _run(aio.load(source))


def summarize(
    source: SourceLike | Sequence[SourceLike], *, words: int | None = None, focus: str | None = None, **options: Any
) -> Answer:
    """Summarise one or more documents. See `coa.aio.summarize`."""
    return _run(aio.summarize(source, words=words, focus=focus, **options))


def ask(source: SourceLike | Sequence[SourceLike], question: str, **options: Any) -> Answer:
    """Answer a question about one or more documents. See `coa.aio.ask`."""
    return _run(aio.ask(source, question, **options))


def aggregate(source: SourceLike | Sequence[SourceLike], schema: SchemaLike, **options: Any) -> Aggregation:
    """Take typed records out of documents and answer a query about them. See `coa.aio.aggregate`."""
    return _run(aio.aggregate(source, schema, **options))


def complete(repo: str | Path, *, file: str | Path, line: int, **options: Any) -> Answer:
    """Write the next lines of a source file. See `coa.aio.complete`."""
    return _run(aio.complete(repo, file=file, line=line, **options))


def index(source: SourceLike | Sequence[SourceLike], folder: str | Path, *, embedder: str | None = None) -> Index:
    """See `coa.aio.index`."""
    return _run(aio.index(source, folder, embedder=embedder))


def plan(source: SourceLike | Sequence[SourceLike], question: str | None = None, **options: Any) -> Plan:
    """What `ask` (with a question) or `summarize` (without) would cost. See `coa.aio.plan`."""
    return _run(aio.plan(source, question, **options))


def resume(run_id: str, **options: Any) -> Answer | Aggregation | Trace:
    """Take up a run where it stopped. See `coa.aio.resume`."""
    return _run(aio.resume(run_id, **options))


def trace(source: SourceLike | Sequence[SourceLike], question: str, answer: str, **options: Any) -> Trace:
    """Find the sentences that each claim of an answer rests on. See `coa.aio.trace`."""
    return _run(aio.trace(source, question, answer, **options))


def trace_run(run_id: str, **options: Any) -> Trace:
    """Trace the answer of a finished run. See `coa.aio.trace_run`."""
    return _run(aio.trace_run(run_id, **options))


def verify(
    source: SourceLike | Sequence[SourceLike], claims: str | Sequence[str], **options: Any
) -> list[Verification]:
    """Does the document say so? See `coa.aio.verify`."""
    return _run(aio.verify(source, claims, **options))


def verify_pair(source: SourceLike | Sequence[SourceLike], first: str, second: str, **options: Any) -> Pair:
    """Which of two claims does the document support? See `coa.aio.verify_pair`."""
    return _run(aio.verify_pair(source, first, second, **options))


def write(brief: str, **options: Any) -> Answer:
    """Write a long document to a plan. See `coa.aio.write`."""
    return _run(aio.write(brief, **options))


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, also where a loop runs already (a notebook): then in a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
