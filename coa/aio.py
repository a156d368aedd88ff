"""The async twins: ``await coa.aio.ask(...)`` does what ``coa.ask(...)`` does, inside your own event loop.

Options shared by all: ``model`` (a name such as ``openai:gpt-5-mini``, or any object with the `coa.Model` protocol),
``on_event`` (called with each `coa.events` event), and every field of `coa.Settings`: ``base_url``, ``window``,
``max_cost``, ``deadline``, ``run_dir``, ``journal`` and so on.

Runs side by side share what a server can bear when they are given one ``limiter``:

    limiter = coa.aio.Limiter(16)
    await asyncio.gather(*[coa.aio.ask(book, question, limiter=limiter) for book in books])
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

from coa import api
from coa.code.completion import completion_task
from coa.config import Options, Settings, load_settings
from coa.documents import Document
from coa.documents import load as load_document
from coa.errors import UsageError
from coa.events import Emit, ignore
from coa.forecast import Plan
from coa.nearest import nearest
from coa.runtime.limiter import Limiter
from coa.serving.base import Model
from coa.sources import SourceLike
from coa.types import Answer, Shot, Task
from coa.verification import Pair, Verification, pair_of, verdict_of

if TYPE_CHECKING:
    from coa.agents.team import Team
    from coa.aggregation.query import Query
    from coa.aggregation.run import Aggregation
    from coa.aggregation.schema import SchemaLike
    from coa.attribution.trace import Trace, TraceOptions
    from coa.retrieval.base import Retriever
    from coa.retrieval.index import Index
    from coa.writing.run import WriteOptions

__all__ = [
    "Limiter",
    "aggregate",
    "ask",
    "complete",
    "index",
    "load",
    "plan",
    "resume",
    "summarize",
    "trace",
    "trace_run",
    "verify",
    "verify_pair",
    "write",
]

Sources = SourceLike | Sequence[SourceLike]
_SOURCE_HINT = "coa.load(data) makes a document of bytes."


async def load(source: str | Path | bytes) -> Document:
    """Load one document. See `coa.documents.load`."""
    return await asyncio.to_thread(load_document, source)


async def summarize(
    source: Sources,
    *,
    words: int | None = None,
    focus: str | None = None,
    team: Team | None = None,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    limiter: Limiter | None = None,
    **options: Unpack[Options],
) -> Answer:
    """Summarise one or more documents by Chain-of-Agents.

    Args:
        source: A path, a `coa.Document`, or several.
        words: Length to aim at.
        focus: What the summary should attend to.
        team: Agents of your own; see `coa.agents.team`.
        model: Name or object; see the module.
        on_event: Called with each event.
        limiter: Shared by runs side by side; see the module.
        **options: Fields of `coa.Settings`.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    task = Task(kind="summary", query=focus, words=words)
    settings, own = _settings(model, options)
    return await api.run(task, _sources(source), settings, emit=on_event, model=own, limiter=limiter, team=team)


async def ask(
    source: Sources,
    question: str,
    *,
    words: int | None = None,
    choices: Sequence[str] = (),
    retrieve: int | None = None,
    found: Retriever | None = None,
    rounds: int | None = None,
    shots: Sequence[Shot] = (),
    team: Team | None = None,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    limiter: Limiter | None = None,
    **options: Unpack[Options],
) -> Answer:
    """Answer a question about one or more documents, with citations. Arguments as in `summarize`.

    With ``retrieve`` the passages that bear on the question are read alone, so many tokens of them; the source may then
    be the folder or the address of an index. With ``found`` a retriever of your own chooses them, such as one of
    `coa.retrieval.adapters`; what it finds counts where it stands in the documents.

    With ``rounds`` too, these passages are read in one prompt, behind ``shots``, worked examples; up to so many
    follow-up questions each look up as many tokens more (DRAG with 0, IterDRAG with 1 to 5). ``answer.steps`` says what
    was asked.

    With ``choices``, such as ``("yes", "no")``, the question is a closed one: ``answer.choice`` says which was chosen,
    or that the document does not decide it. The text begins with it and says why.
    """
    task = Task(
        kind="qa",
        query=question,
        words=words,
        choices=tuple(choices),
        retrieve=retrieve,
        rounds=rounds,
        shots=tuple(shots),
    )
    settings, own = _settings(model, options)
    return await api.run(
        task, _sources(source), settings, emit=on_event, model=own, limiter=limiter, found=found, team=team
    )


async def aggregate(
    source: Sources,
    schema: SchemaLike,
    *,
    what: str | None = None,
    query: Query | None = None,
    key: Sequence[str] = (),
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Aggregation:
    """Take typed records out of documents and answer a query about them; the arithmetic is done by code.

    Args:
        source: A path, a `coa.Document`, or several.
        schema: What a record looks like: a pydantic model, a JSON schema, or the path of one.
        what: Which records are meant, in words.
        query: What is asked of them; without one the rows themselves are the result. Another query over the same
            records costs nothing.
        key: Fields that make a record one of a kind.
        model: Name or object; see the module. ``offline`` takes only what stands as ``field: value``.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    from coa.aggregation.query import Query
    from coa.aggregation.reading import Wanted
    from coa.aggregation.run import aggregate as run_aggregate
    from coa.aggregation.schema import schema_of

    settings, own = _settings(model, options)
    wanted = Wanted(schema=schema_of(schema), what=what, key=tuple(key))
    return await run_aggregate(_sources(source), wanted, query or Query(), settings, emit=on_event, model=own)


async def complete(
    repo: str | Path,
    *,
    file: str | Path,
    line: int,
    lines: int = 1,
    files: int = 20,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Answer:
    """Write the next lines of a source file, with the rest of its repository in view.

    Args:
        repo: The repository's folder. What Git ignores, links and binary files are left alone; nothing is executed.
        file: A file in it.
        line: The first line to be written, counted from 1. It and all lines after it are not looked at.
        lines: How many lines to write.
        files: Other files to read at most: those that define what the code before the line names.
        model: Name or object; see the module. ``offline`` copies the line after the most similar code.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Returns:
        The lines, indented as they belong there, without a line break at the end. ``citations`` list the signatures
        that the notes rest on.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    settings, own = _settings(model, options)
    task = await asyncio.to_thread(completion_task, repo, file=file, line=line, lines=lines, files=files)
    return await api.run(task, (repo,), settings, emit=on_event, model=own)


async def index(source: Sources, folder: str | Path, *, embedder: str | None = None, on_event: Emit = ignore) -> Index:
    """Index documents in a folder and return the index, open for searching.

    Where some of the documents cannot be loaded, the others are indexed and ``failures`` of the index names them.

    Args:
        source: A path, a folder, a `coa.Document`, or several. Known documents are not indexed again.
        folder: Where the index is; it is made where there is none.
        embedder: ``minilm``, or the folder of a sentence-transformers model; None indexes words only.
        on_event: Called with each event: `DocumentIndexed`, `VectorsMade` and `Warned` of `coa.events`.

    Raises:
        InputError: no document can be loaded, or the folder is no index.
        MissingExtra: the embedder is not installed.
    """
    from coa.retrieval.create import create_index

    return await create_index(_sources(source), folder, embedder, on_event)


async def plan(
    source: Sources,
    question: str | None = None,
    *,
    words: int | None = None,
    task: Task | None = None,
    model: str | Model | None = None,
    **options: Unpack[Options],
) -> Plan:
    """What `ask` (with a question) or `summarize` (without one) would cost, at most; nothing is sent.

    ``task`` plans anything else, such as what `coa.code.completion.completion_task` makes.
    """
    task = task or Task(kind="summary" if question is None else "qa", query=question, words=words)
    settings, own = _settings(model, options)
    return await api.plan(task, _sources(source), settings, model=own)


async def resume(
    run_id: str,
    *,
    schema: SchemaLike | None = None,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Answer | Aggregation | Trace:
    """Take up a run where it stopped; finished calls come from its journal.

    Returns:
        What the function that began it returns: of `aggregate` an `Aggregation`, of `trace` and `trace_run` a `Trace`,
        of all others an `Answer`.

    Args:
        run_id: The run, or how its id begins.
        schema: That of an aggregation, where it was a class: it cannot be kept.
        model: The run's own, where it was an object; no other is taken.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Raises:
        UsageError: another model than the run's, or a run that only its own command knows how to go on with.
        CoaError: any other of its tree.
    """
    settings, own = _settings(model, options)
    found = await api.resume(run_id, settings, emit=on_event, model=own, schema=schema)
    if isinstance(found, Answer):
        return found
    from coa.attribution.run import Traced

    return found.trace if isinstance(found, Traced) else found


async def trace(
    source: Sources,
    question: str,
    answer: str,
    *,
    how: TraceOptions | None = None,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Trace:
    """Find the sentences of the sources that each claim of an answer rests on.

    Args:
        source: A path, a `coa.Document`, or several: what the answer was made from.
        question: The question that was answered.
        answer: Its text; citation numbers such as ``[2]`` are taken out.
        how: Method, scorer, budget; see `coa.attribution.trace.TraceOptions`.
        model: The model that scores; ``offline`` compares wording only.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    from coa.attribution.run import trace_sources

    settings, own = _settings(model, options)
    traced = await trace_sources(_sources(source), question, answer, settings, how, emit=on_event, model=own)
    return traced.trace


async def trace_run(
    run_id: str,
    *,
    how: TraceOptions | None = None,
    direct: bool = False,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Trace:
    """Find the sentences that each claim of a finished run's answer rests on, through the hands of its agents.

    Args:
        run_id: Of a run of `ask`, `summarize` or `verify`; ``answer.run_id``.
        how: Method, scorer, budget; see `coa.attribution.trace.TraceOptions`.
        direct: Leave the agents out, as if the model had read the sentences itself.
        model: The model that scores; the run's own by default.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`, among them the ``run_dir`` that holds the run.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    from coa.attribution.run import trace_run as run_trace

    settings, own = _settings(model, options)
    return (await run_trace(run_id, settings, how, direct=direct, emit=on_event, model=own)).trace


async def write(
    brief: str,
    *,
    words: int = 2_000,
    source: Sources = (),
    found: Retriever | None = None,
    how: WriteOptions | None = None,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Answer:
    """Write a long document to a plan.

    Args:
        brief: What to write.
        words: Length to reach.
        source: Documents to write from, with citations.
        found: Finds the passages in them, such as an open `coa.index`; without it they are indexed for the run.
        how: Style, method, outline and the like; its ``words`` give way to ``words``.
        model: Name or object; see the module.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Returns:
        The text in Markdown with its citations; ``coverage`` counts sections.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    from coa.writing.run import WriteOptions
    from coa.writing.run import write as run_write

    settings, own = _settings(model, options)
    how = replace(how or WriteOptions(), words=words)
    return await run_write(brief, settings, how, _sources(source), found=found, emit=on_event, model=own)


async def verify(
    source: Sources,
    claims: str | Sequence[str],
    *,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    limiter: Limiter | None = None,
    **options: Unpack[Options],
) -> list[Verification]:
    """Does the document say so? A verdict for each claim, with the evidence.

    Args:
        source: A path, a `coa.Document`, or several.
        claims: One statement or several; each is a run of its own.
        model: Name or object; see the module. ``offline`` shows what bears on a claim and judges nothing.
        on_event: Called with each event.
        limiter: Shared by runs side by side; see the module.
        **options: Fields of `coa.Settings`.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    settings, own = _settings(model, options)
    found: list[Verification] = []
    for claim in [claims] if isinstance(claims, str) else claims:
        task = Task(kind="verify", query=claim)
        found.append(
            verdict_of(
                claim, await api.run(task, _sources(source), settings, emit=on_event, model=own, limiter=limiter)
            )
        )
    return found


async def verify_pair(
    source: Sources,
    first: str,
    second: str,
    *,
    model: str | Model | None = None,
    on_event: Emit = ignore,
    **options: Unpack[Options],
) -> Pair:
    """Which of two claims does the document support? Each is judged without sight of the other, as NoCha asks.

    Args:
        source: A path, a `coa.Document`, or several.
        first: A claim.
        second: Another that cannot be so when the first is.
        model: Name or object; see the module.
        on_event: Called with each event.
        **options: Fields of `coa.Settings`.

    Raises:
        CoaError: any of the tree in `coa.errors`.
    """
    one, other = await verify(source, (first, second), model=model, on_event=on_event, **options)
    return pair_of(one, other)


def _sources(source: Sources) -> tuple[SourceLike, ...]:
    """The sources as a tuple; what a program without types may have passed in their place is refused."""
    given: Any = (source,) if isinstance(source, str | Path | Document) else source
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise UsageError("a source is a path or a document", hint=_SOURCE_HINT)
    many = tuple(cast("Iterable[Any]", given))
    if not all(isinstance(each, str | Path | Document) for each in many):
        raise UsageError("each source is a path or a document", hint=_SOURCE_HINT)
    return many


def _settings(model: str | Model | None, options: Options) -> tuple[Settings, Model | None]:
    if unknown := options.keys() - Settings.model_fields.keys():
        name = min(unknown)
        raise UsageError(f"unknown option {name!r}", hint=nearest(name, Settings.model_fields))
    if model is None or isinstance(model, str):
        return load_settings(**options, model=model), None
    return load_settings(**options, model=model.name), model
