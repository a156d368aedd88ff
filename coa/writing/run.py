"""Write a document from beginning to end: model, sources, outline, leaves, citations, kept in a run of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from tempfile import TemporaryDirectory

from coa.agents.citing import cite
from coa.agents.fence import Fence, fence_for
from coa.config import Settings
from coa.documents import Document
from coa.errors import DeadlineExceeded, MalformedReply, UsageError
from coa.events import Emit, RunFinished, RunStarted, StepDone, Warned, ignore
from coa.forecast import PROMPT_TOKENS_PER_SECOND, REPLY_TOKENS_PER_SECOND, Plan
from coa.prompts import Prompts
from coa.report import answer_to_json
from coa.retrieval.index import Index
from coa.runtime.caller import Caller, caller_for
from coa.runtime.manifest import new_manifest
from coa.runtime.prices import price_for
from coa.runtime.runs import open_journal
from coa.serving.base import Model
from coa.serving.resolve import resolve_fallbacks, resolve_model
from coa.session import ReadStdin, SourceLike, default_window, load_sources
from coa.types import Answer, Coverage, Evidence, Notes, Span, Task, Unread
from coa.writing.agentwrite import agentwrite
from coa.writing.allocate import LEAF_WORDS, leaf_count
from coa.writing.author import LEAVES_A_CHAPTER, Author, FindEvidence, Written, joined
from coa.writing.evidence import PASSAGES, digest, found_for
from coa.writing.plan import Outline, Section

METHODS = ("planned", "agentwrite")
MOST_WORDS = 500_000

_PROMPT_TOKENS, _PASSAGE_TOKENS = 1_300, 150
_OFFLINE = "no language model wrote this: it is a digest of sentences of the sources, under headings made by code"
_FREE = Fence(token="0" * 16, tag="ref")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How to write.

    Attributes:
        words: Length to reach.
        style: How it should read, in words.
        parallel: Chapters in the making at once.
        method: ``planned``, or ``agentwrite`` for the published flow.
        outline: A plan to follow instead of making one.
    """

    words: int = 2_000
    style: str = ""
    parallel: int = 4
    method: str = "planned"
    outline: Outline | None = None


async def write(
    brief: str,
    settings: Settings,
    options: WriteOptions,
    sources: Sequence[SourceLike] = (),
    *,
    emit: Emit = ignore,
    stdin: ReadStdin | None = None,
    model: Model | None = None,
) -> Answer:
    """Write a document; the same call again goes on where this one stopped.

    Returns:
        The text in Markdown. ``coverage`` counts sections; those that could not be written are in ``failed``.

    Raises:
        UsageError: an empty brief, an impossible length, the offline engine without sources.
        CoaError: any other of its tree; finished calls are kept.
    """
    _check(brief, options)
    documents, model = await _material(sources, stdin), model or resolve_model(settings)
    if model.name.startswith("offline") and not documents:
        raise UsageError(
            "the offline engine invents nothing: it needs sources to make a digest of",
            hint="Give --source PATH, or name a model with --model.",
        )
    models = (model, *resolve_fallbacks(settings))
    manifest = new_manifest(
        Task(kind="write", query=f"{brief}\n\n{_key(options)}", words=options.words),
        [document.path for document in documents],
        [document.source for document in documents],
        model=model.name,
        base_url=settings.base_url,
        window=settings.window or await default_window(*models),
        topology=options.method,
        order="ltr",
    )
    try:
        warnings: list[str] = []
        with open_journal(manifest, settings, warn=warnings.append) as (journal, opened):
            caller = caller_for(models, settings, journal, emit)
            job = _Job(brief, options, documents, model, caller, emit, manifest.run_id)
            try:
                async with asyncio.timeout(settings.deadline):
                    answer = await job.run()
            except TimeoutError:
                raise DeadlineExceeded(f"the text was not finished within {settings.deadline:g} s") from None
            answer = replace(answer, warnings=(*warnings, *answer.warnings, *caller.warnings))
            if opened is not None:
                opened.finish(answer.status, answer=answer_to_json(answer))
    finally:
        for each in models:
            await each.close()
    for warning in answer.warnings:
        emit(Warned(message=warning))
    emit(RunFinished(answer=answer))
    return answer


async def outline_of(
    brief: str, settings: Settings, options: WriteOptions, *, emit: Emit = ignore, model: Model | None = None
) -> Outline:
    """Only the plan, to be edited and given back as ``WriteOptions.outline``."""
    _check(brief, options)
    model = model or resolve_model(settings)
    manifest = new_manifest(
        Task(kind="write", query=f"{brief}\n\n{_key(options)}", words=options.words),
        [],
        [],
        model=model.name,
        base_url=settings.base_url,
        window=settings.window or await default_window(model),
        topology=options.method,
        order="ltr",
    )
    try:
        with open_journal(manifest, settings) as (journal, _):
            caller = caller_for((model,), settings, journal, emit)
            author = Author(call=caller, prompts=Prompts(), fence=_FREE, style=options.style)
            return await author.plan(brief, options.words)
    finally:
        await model.close()


def forecast(settings: Settings, options: WriteOptions, sources: int = 0) -> Plan:
    """About what it costs to write; every second section is expected to be continued once."""
    model = resolve_model(settings)
    leaves = leaf_count(options.words)
    chapters = math.ceil(leaves / LEAVES_A_CHAPTER)
    writing = leaves + leaves // 2
    prompt = (1 + chapters) * 600 + writing * (_PROMPT_TOKENS + (PASSAGES * _PASSAGE_TOKENS if sources else 0))
    completion = round(options.words * 1.5) + leaves * 60
    price = price_for(model.name, settings.prices)
    serial = 2 + 1.5 * math.ceil(leaves / max(1, min(options.parallel, chapters)))
    return Plan(
        model=model.name,
        tokenizer=model.counter.label,
        window=settings.window or model.window,
        topology=options.method,
        order="ltr",
        documents=(),
        chunks=leaves,
        calls=1 + (chapters if chapters > 1 else 0) + writing,
        serial_calls=round(serial),
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost_usd=None if price is None else price.cost(prompt, completion),
        seconds=None
        if model.name.startswith("offline")
        else prompt / PROMPT_TOKENS_PER_SECOND + completion / REPLY_TOKENS_PER_SECOND,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """One document in the making."""

    brief: str
    options: WriteOptions
    documents: tuple[Document, ...]
    model: Model
    caller: Caller
    emit: Emit
    run_id: str

    async def run(self) -> Answer:
        fence = fence_for(self.documents) if self.documents else _FREE
        author = Author(
            call=self.caller,
            prompts=Prompts(),
            fence=fence,
            style=self.options.style,
            parallel=self.options.parallel,
        )
        if self.options.method == "agentwrite":
            done = self._progress(max(1, self.options.words // 500))
            text = await agentwrite(self.caller, author.prompts, self.brief, self.options.words, done=done)
            return self._answer(text, Coverage(chunks=1, read=1), ())
        outline, evidence = await self._planned(author, fence)
        author = replace(author, done=self._progress(len(outline.leaves())))
        if evidence:
            author = replace(author, evidence=_by_id(evidence))
        written = await author.write(outline)
        if not any(leaf.text for leaf in written):
            raise MalformedReply(f"no section could be written; the last one failed with {written[-1].problem}")
        return self._cited(outline, written, fence)

    async def _planned(self, author: Author, fence: Fence) -> tuple[Outline, dict[str, tuple[Evidence, ...]]]:
        if self.model.name.startswith("offline") and self.options.outline is None:
            return digest(self.brief, self.options.words, self.documents, fence.tag)
        outline = self.options.outline or await author.plan(self.brief, self.options.words)
        if not self.documents:
            return outline, {}
        with TemporaryDirectory() as folder:
            index = Index.create(folder)
            try:
                index.add(self.documents)
                return outline, found_for(outline, index, fence.tag)
            finally:
                index.close()

    def _cited(self, outline: Outline, written: Sequence[Written], fence: Fence) -> Answer:
        items = {item.marker: item for leaf in written for item in leaf.evidence}
        documents = {document.id: document for document in self.documents}
        cited = cite(joined(outline, written), Notes(evidence=tuple(items.values())), documents, fence.tag)
        failed = tuple(
            Unread(span=Span(doc="outline", start=i, end=i + 1), reason=f"{leaf.section.title}: {leaf.problem}")
            for i, leaf in enumerate(written)
            if not leaf.text
        )
        warnings = [f"section {leaf.section.id}: {warning}" for leaf in written for warning in leaf.warnings]
        if self.documents:
            bare = [leaf.section.id for leaf in written if leaf.text and not _cites(leaf, fence.tag)]
            warnings += [f"sections that cite no source: {', '.join(bare)}"] if bare else []
        if cited.dropped:
            warnings.append(f"{cited.dropped} references pointed nowhere and were dropped")
        if self.model.name.startswith("offline"):
            warnings.append(_OFFLINE)
        coverage = Coverage(chunks=len(written), read=len(written) - len(failed), failed=failed)
        return replace(self._answer(cited.text + "\n", coverage, tuple(warnings)), citations=cited.citations)

    def _answer(self, text: str, coverage: Coverage, warnings: tuple[str, ...]) -> Answer:
        return Answer(
            text=text,
            status="complete" if coverage.complete else "partial",
            run_id=self.run_id,
            model=self.model.name,
            documents=tuple(document.source for document in self.documents),
            coverage=coverage,
            usage=self.caller.usage,
            warnings=warnings,
        )

    def _progress(self, steps: int) -> Callable[[], None]:
        """Say how many steps there are; the result counts one more done."""
        self.emit(RunStarted(run_id=self.run_id, model=self.model.name, chunks=steps, steps=steps))
        done = 0

        def count() -> None:
            nonlocal done
            done += 1
            most = max(done, steps)
            self.emit(StepDone(done=done, steps=most, usage=self.caller.usage, outcome="written"))

        return count


def _by_id(evidence: Mapping[str, tuple[Evidence, ...]]) -> FindEvidence:
    def find(leaf: Section) -> tuple[Evidence, ...]:
        return evidence.get(leaf.id, ())

    return find


def _check(brief: str, options: WriteOptions) -> None:
    if not brief.strip():
        raise UsageError("there is nothing to write about", hint='Say what to write: coa write "A guide to ..."')
    if not 20 <= options.words <= MOST_WORDS:
        raise UsageError(f"{options.words} words cannot be written", hint=f"Give 20 to {MOST_WORDS} --words.")
    if options.method not in METHODS:
        raise UsageError(f"unknown method {options.method!r}", hint=f"Choose one of: {', '.join(METHODS)}.")
    if options.parallel < 1:
        raise UsageError("at least one chapter must be in the making", hint="Give --parallel 1 or more.")


async def _material(sources: Sequence[SourceLike], stdin: ReadStdin | None) -> tuple[Document, ...]:
    if not sources:
        return ()
    documents, failures = await load_sources(sources, stdin)
    if failures:
        raise failures[0].error
    return documents


def _key(options: WriteOptions) -> str:
    """What of the options changes the text."""
    outline = options.outline.to_yaml() if options.outline else ""
    return f"{options.method}\n{options.style}\n{LEAF_WORDS}\n{outline}"


def _cites(leaf: Written, tag: str) -> bool:
    return any(f"{item.marker}" in leaf.text for item in leaf.evidence) and tag in leaf.text
