"""Aggregate: load, split with an overlap, extract side by side, merge, answer the query, cite the rows."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from coa.agents.extractor import Extracted
from coa.aggregation.kept import kept_form, kept_request
from coa.aggregation.query import Query, Result, answer
from coa.aggregation.reading import OVERLAP, Reading, Wanted, overlapping, prepare
from coa.aggregation.rows import Merged, Rejected, Row, merge
from coa.aggregation.schema import SchemaLike
from coa.aggregation.show import cited
from coa.config import Settings
from coa.errors import ContextOverflow, DeadlineExceeded, InvalidReply, TruncatedReply, UsageError
from coa.events import Emit, RunFinished, RunStarted, StepDone, Warned, ignore
from coa.report import answer_to_json
from coa.runtime.caller import Caller, caller_for
from coa.runtime.manifest import Manifest, check_unchanged, new_manifest
from coa.runtime.runs import Runs, open_journal
from coa.runtime.together import together
from coa.serving.base import Model
from coa.sources import Kept, ReadStdin, SourceLike, name_of
from coa.split import split_text
from coa.types import Answer, Chunk, Coverage, Passage, Span, Task, Unread

_SMALLEST = 64


@dataclass(frozen=True, kw_only=True)
class Aggregation:
    """Rows with their evidence, and what a query makes of them.

    Attributes:
        rows: All records that were found, in the order of the text.
        rejected: What workers gave as a record and what is none.
        conflicts: Where two accounts of one record disagree; the first one stands.
        duplicates: How many rows were merged into others.
        result: The answer to the query.
        answer: The same as text with citations, coverage and cost.
    """

    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    conflicts: tuple[str, ...]
    duplicates: int
    result: Result
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """The object that ``coa aggregate --json`` prints; ``rows`` of a line count from 0."""
        return {
            **self.answer.to_dict(),
            "result": [{"values": line.values, "rows": list(line.rows)} for line in self.result.lines],
            "notes": list(self.result.notes),
            "rows": [
                {
                    "values": row.values,
                    "evidence": [{"doc": span.doc, "start": span.start, "end": span.end} for span in row.spans],
                }
                for row in self.rows
            ],
            "rejected": [
                {
                    "given": each.given,
                    "reason": each.reason,
                    "doc": each.span.doc,
                    "start": each.span.start,
                    "end": each.span.end,
                }
                for each in self.rejected
            ],
            "duplicates": self.duplicates,
            "conflicts": list(self.conflicts),
        }


async def aggregate(
    sources: Sequence[SourceLike],
    wanted: Wanted,
    query: Query,
    settings: Settings,
    *,
    emit: Emit = ignore,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
    begun: Manifest | None = None,
) -> Aggregation:
    """Extract the records of documents and answer a query about them; another query over the same costs nothing.

    ``begun`` is the run that goes on.

    Raises:
        UsageError: a field that the schema does not have, or a window that holds no text.
        InputChanged: a document of the run that goes on is not what it was.
        CoaError: any other of its tree; finished calls are kept.
    """
    check(query, wanted)
    kept = Kept(stdin)
    reading = await prepare(sources, wanted, settings, stdin=kept.read, model=model)
    manifest = new_manifest(
        Task(kind="aggregate", query=f"{wanted.what or ''}\n{wanted.schema.text}"),
        [name_of(source) for source in sources],
        [document.source for document in reading.documents],
        model=reading.models[0].name,
        base_url=settings.base_url,
        window=reading.window_tokens,
        topology="map",
        order="ltr",
    )
    said: list[str] = []
    try:
        if begun is not None:
            check_unchanged(begun, reading.documents)
        asked = kept_form(wanted, query)
        with open_journal(manifest, settings, stdin=kept.data, request=asked, warn=said.append) as (journal, opened):
            caller = caller_for(reading.models, settings, journal, emit)
            parts = len(reading.chunks)
            emit(RunStarted(run_id=manifest.run_id, model=reading.models[0].name, chunks=parts, steps=parts))
            try:
                async with asyncio.timeout(settings.deadline):
                    found = await _Work(reading, caller, emit).run()
            except TimeoutError:
                raise DeadlineExceeded(f"the run was not finished within {settings.deadline:g} s") from None
            done = _finished(reading, found, query, caller, manifest.run_id, said)
            if opened is not None:
                opened.finish(done.answer.status, answer=answer_to_json(done.answer))
    finally:
        await reading.close()
    for warning in done.answer.warnings:
        emit(Warned(message=warning))
    emit(RunFinished(answer=done.answer))
    return done


async def resume(
    manifest: Manifest,
    runs: Runs,
    settings: Settings,
    *,
    schema: SchemaLike | None = None,
    emit: Emit = ignore,
    model: Model | None = None,
) -> Aggregation:
    """Take up an aggregation.

    Args:
        manifest: The run's.
        runs: Those of its directory.
        settings: With the run's own model and window.
        schema: That of the run, where it was a class of a program: it cannot be kept.
        emit: Told the events.
        model: In the place of the settings' name.

    Raises:
        RunNotFound: what it was asked was not kept.
        UsageError: its schema is not there, or not this one.
        InputChanged: a document or the schema's file is not what it was.
    """
    wanted, query = kept_request(manifest, runs.request(manifest), schema)
    stdin = partial(runs.stdin, manifest)
    return await aggregate(
        manifest.sources, wanted, query, settings, emit=emit, stdin=stdin, model=model, begun=manifest
    )


def check(query: Query, wanted: Wanted) -> None:
    """Check that a query and a key name fields of the schema.

    Raises:
        UsageError: they do not, or the query makes no sense.
    """
    schema = wanted.schema
    schema.known(*wanted.key, *(each.field for each in query.where), *([query.join.on] if query.join else []))
    if query.join is None:
        schema.known(*query.group_by, query.max, query.min, query.sum, query.mean)
        schema.known(None if query.group_by else query.by)
    if query.top is not None and query.top < 1:
        raise UsageError(f"the first {query.top} cannot be shown", hint="Give --top 1 or more.")
    if query.top is not None and query.by is None and not query.group_by:
        raise UsageError("a ranking needs a field", hint="Give --by FIELD.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    failed: tuple[Unread, ...]
    read: int


class _Work:
    """The parts being read."""

    def __init__(self, reading: Reading, caller: Caller, emit: Emit) -> None:
        self._reading, self._caller, self._emit = reading, caller, emit
        self._ctx = replace(reading.ctx, call=caller)
        self._done = 0

    async def run(self) -> _Found:
        parts = await together(self._part(chunk, number) for number, chunk in enumerate(self._reading.chunks, 1))
        failed = [[each for each in part if isinstance(each, Unread)] for part in parts]
        read = sum(not each for each in failed)
        if not read:
            raise InvalidReply(f"none of the {len(parts)} parts could be read; the last one: {failed[-1][-1].reason}")
        found = [each for part in parts for each in part if isinstance(each, Extracted)]
        return _Found(
            rows=tuple(replace(row, part=piece) for piece, each in enumerate(found) for row in each.rows),
            rejected=tuple(bad for each in found for bad in each.rejected),
            failed=tuple(unread for part in failed for unread in part),
            read=read,
        )

    async def _part(self, chunk: Chunk, number: int) -> list[Extracted | Unread]:
        found = await self._read(chunk.span, chunk.tokens, number)
        self._done += 1
        failed = any(isinstance(each, Unread) for each in found)
        self._emit(
            StepDone(
                done=self._done,
                steps=len(self._reading.chunks),
                usage=self._caller.usage,
                span=chunk.span,
                outcome="failed" if failed else "read",
            )
        )
        return found

    async def _read(self, span: Span, tokens: int, number: int) -> list[Extracted | Unread]:
        """Read a stretch; where its records do not fit in a reply, or it in the window, read its halves."""
        reading = self._reading
        passage = Passage(text=reading.document(span.doc).read(span), span=span, part=number, parts=len(reading.chunks))
        try:
            request = reading.extractor.request(passage, self._ctx, max_tokens=reading.reply)
            return [await reading.extractor.run(request, self._ctx)]
        except (TruncatedReply, ContextOverflow) as error:
            if tokens < _SMALLEST:
                return [Unread(span=span, reason=f"{error.code}: {error.message}")]
        except InvalidReply as error:
            return [Unread(span=span, reason=f"{error.code}: {error.message}")]
        found: list[Extracted | Unread] = []
        for half, size in self._halves(span, tokens):
            found += await self._read(half, size, number)
        return found

    def _halves(self, span: Span, tokens: int) -> list[tuple[Span, int]]:
        """Both halves with their sizes; the second begins a little earlier, so that no record is cut in two."""
        text, counter = self._reading.document(span.doc).text, self._reading.ctx.counter
        pieces = split_text(text, math.ceil(tokens / 2) + 1, counter, span.start, span.end)
        shared = overlapping(text, pieces, min(OVERLAP, tokens // 8), counter)
        return [(replace(span, start=start, end=end), size) for start, end, size in shared]


def _finished(
    reading: Reading, found: _Found, query: Query, caller: Caller, run_id: str, said: Sequence[str]
) -> Aggregation:
    merged = merge(found.rows, reading.wanted.key)
    result = answer(query, merged.rows)
    unloaded = tuple(
        Unread(span=Span(doc=failure.path, start=0, end=0), reason=f"{failure.error.code}: {failure.error.message}")
        for failure in reading.failures
    )
    coverage = Coverage(chunks=len(reading.chunks), read=found.read, failed=found.failed + unloaded)
    text, citations = cited(result, merged.rows, {document.id: document for document in reading.documents})
    return Aggregation(
        rows=merged.rows,
        rejected=found.rejected,
        conflicts=merged.conflicts,
        duplicates=merged.duplicates,
        result=result,
        answer=Answer(
            text=text,
            status="complete" if coverage.complete else "partial",
            run_id=run_id,
            model=reading.models[0].name,
            documents=tuple(document.source for document in reading.documents),
            citations=citations,
            coverage=coverage,
            usage=caller.usage,
            warnings=(*said, *caller.warnings, *_warnings(found, merged, result)),
        ),
    )


def _warnings(found: _Found, merged: Merged, result: Result) -> list[str]:
    said = list(result.notes)
    if found.rejected:
        said.append(f"{len(found.rejected)} records could not be used, also when asked for again (see rejected)")
    return [*said, *(f"two accounts disagree: {conflict}" for conflict in merged.conflicts)]
