"""From a question, an answer and its sources to a `Trace`: which sentences each claim rests on, and what that cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from coa.agents.fence import fence_for
from coa.attribution.auto import examine, find_causes, unexplored
from coa.attribution.base import BudgetSpent, Found, Scorer, Search, Segment, Utility
from coa.attribution.choose import SCORERS, Scored, Way, choose_way, supports_only
from coa.attribution.contextcite import contextcite
from coa.attribution.forensics import Answering, Forensics, look_closer
from coa.attribution.hops import Deletion, Hop
from coa.attribution.ledger import ClaimUtility, Ledger, Purse, TraceUsage
from coa.attribution.outline import Outline
from coa.attribution.prompting import PlainPrompting
from coa.attribution.segments import claims_of, segments_of, shortlist, without_markers
from coa.attribution.support import find_support
from coa.attribution.tracllm import tracllm
from coa.config import Settings
from coa.documents import Document
from coa.errors import UsageError, WindowTooSmall
from coa.events import Emit, RunStarted, StepDone, Warned, ignore
from coa.prompts import Prompts
from coa.runtime.journal import Journal
from coa.runtime.manifest import Manifest, new_manifest
from coa.runtime.runs import open_journal
from coa.serving.base import Model, content_tokens
from coa.serving.resolve import resolve_model
from coa.serving.window import default_window
from coa.types import Source, Task, Usage

Find = Callable[[Utility, Search], Awaitable[Found]]

_REPLY_ROOM = 512
_LEAST_ROOM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How to trace.

    Attributes:
        method: ``auto``, ``tracllm`` or ``contextcite``.
        scorer: ``auto``, ``logprobs``, ``completions``, ``ptrue``, ``regenerate``, ``support`` or ``hf:FOLDER``.
        k: Most sentences that one claim may be traced to.
        seed: Of every random choice.
        max_equivalents: Full-context prompts whose tokens may be spent, shared by the claims; None for no limit.
        forensic: Look for orders to the model and for conflicts, and ask again without them; see
            `coa.attribution.forensics`.
        deletion: Most sentences that a chain is run again without, best first; see `coa.attribution.deletion`.
    """

    method: str = "auto"
    scorer: str = "auto"
    k: int = 5
    seed: int = 0
    max_equivalents: float | None = 100.0
    forensic: bool = False
    deletion: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTrace:
    """One claim, ``answer[start:end]``, and what it rests on.

    Attributes:
        found: The sentences of the sources, with their figures.
        hops: Of an answer that agents made: how the claim came through their hands, the claim's own hop first.
    """

    start: int
    end: int
    found: Found
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Which sentences of the sources each claim of an answer rests on.

    Attributes:
        answer: The answer that was scored, its citation numbers taken out.
        segments: What was examined, in document order; ``Cause.segment`` counts in it. Of an answer that agents made,
            what was found.
        examined: Sentences and notes that were examined.
        unexamined: Sentences that did not fit in the window; those least like the answer.
        kind: ``logprobs``, ``regenerate``, ``ptrue`` (a judgement) or ``support`` (likeness of wording, no cause).
        search: What the searches consumed; ``usage`` is what was paid.
        forensics: The closer look, where one was asked for.
        deletion: The curve through the chain, where one was asked for.
    """

    question: str
    answer: str
    run_id: str
    scorer: str
    kind: str
    method: str
    seed: int
    documents: tuple[Source, ...]
    segments: tuple[Segment, ...]
    claims: tuple[ClaimTrace, ...]
    examined: int
    unexamined: int
    search: TraceUsage
    usage: Usage
    warnings: tuple[str, ...] = ()
    forensics: Forensics | None = None
    deletion: Deletion | None = None


async def trace(
    question: str,
    answer: str,
    documents: Sequence[Document],
    settings: Settings,
    options: TraceOptions | None = None,
    *,
    emit: Emit = ignore,
    model: Model | None = None,
    request: Mapping[str, Any] | None = None,
    stdin: bytes | None = None,
) -> Trace:
    """Find the sentences that each claim of ``answer`` rests on.

    ``request`` and ``stdin`` are kept with the run, for whoever takes it up.

    Raises:
        UsageError: no question, no answer, an unknown method or scorer.
        ModelError: the model failed for good.
    """
    options = options or TraceOptions()
    answer = without_markers(answer)
    _check(question, answer, documents)
    check_options(options)
    if options.deletion:
        raise UsageError(
            "there is no chain to run again without some sentences",
            hint="Leave out --deletion: each claim has a curve of its own. Or trace a finished run of coa ask.",
        )
    model = model or resolve_model(settings)
    manifest = manifest_of(question, answer, documents, options, settings, model, window=await _window(settings, model))
    try:
        with open_journal(manifest, settings, request=request, stdin=stdin) as (journal, opened):
            asked = _Asked(
                question=question,
                answer=answer,
                claims=claims_of(answer),
                documents=tuple(documents),
                settings=settings,
                model=model,
                window=manifest.window,
            )
            result = await _Work(asked, options, emit).run(manifest.run_id, journal)
            if opened is not None:
                opened.finish("complete")
    finally:
        await model.close()
    return result


def manifest_of(
    question: str,
    answer: str,
    documents: Sequence[Document],
    options: TraceOptions,
    settings: Settings,
    model: Model,
    *,
    window: int,
) -> Manifest:
    """The run of a trace: the same question, answer, sources and options are the same run."""
    return new_manifest(
        Task(kind="trace", query=f"{question}\n\n{answer}\n\n{options}"),
        [document.path for document in documents],
        [document.source for document in documents],
        model=model.name,
        base_url=settings.base_url,
        window=window,
        topology="trace",
        order="ltr",
    )


async def _window(settings: Settings, model: Model) -> int:
    return settings.window or await default_window(model)


def _check(question: str, answer: str, documents: Sequence[Document]) -> None:
    if not question.strip():
        raise UsageError("no question was given", hint="Give the question that was answered with --question.")
    if not answer.strip():
        raise UsageError("there is no answer to trace", hint="Give the text of the answer with --answer.")
    if not documents:
        raise UsageError("no source was given", hint="Name at least one with --source.")


def check_options(options: TraceOptions) -> None:
    """Check a request before anything is opened.

    Raises:
        UsageError: an unknown method or scorer, or nothing to find.
    """
    if options.method not in METHODS:
        raise UsageError(f"unknown method {options.method!r}", hint=f"Choose one of: {', '.join(METHODS)}.")
    if options.scorer not in SCORERS and not options.scorer.startswith("hf:"):
        raise UsageError(
            f"unknown scorer {options.scorer!r}", hint=f"Choose one of: {', '.join(SCORERS)} or hf:FOLDER."
        )
    if options.deletion < 0:
        raise UsageError("a chain cannot be run without fewer than no sentences", hint="Give --deletion 0 or more.")
    if options.k < 1:
        raise UsageError("a claim must be traceable to at least one sentence", hint="Give -k 1 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is to be traced, with what."""

    question: str
    answer: str
    claims: tuple[tuple[int, int], ...]
    documents: tuple[Document, ...]
    settings: Settings
    model: Model
    window: int

    def scored(self, segments: tuple[Segment, ...]) -> Scored:
        """The answer, and prompts over these segments."""
        prompting = PlainPrompting(
            segments=segments, question=self.question, fence=fence_for(self.documents), prompts=Prompts()
        )
        return Scored(prompting=prompting, answer=self.answer, claims=self.claims)

    @property
    def overhead(self) -> int:
        """Tokens of a prompt around the segments, the answer included."""
        counter = self.model.counter
        shown = self.scored(()).prompting.messages(frozenset())
        return content_tokens(shown, counter) + counter.count(self.answer)

    @property
    def room(self) -> int:
        """Tokens of segments that fit into one prompt.

        Raises:
            WindowTooSmall: hardly any do.
        """
        room = int((self.window - self.overhead - _REPLY_ROOM) / (1 + self.model.counter.margin))
        if room < _LEAST_ROOM:
            raise WindowTooSmall(
                f"a window of {self.window} tokens leaves no room for the sources beside the answer",
                hint="Give a larger --window, or trace a part of the answer at a time.",
            )
        return room


@dataclass(frozen=True, slots=True)
class _Work:
    """One trace: everything it needs, nothing that changes."""

    asked: _Asked
    options: TraceOptions
    emit: Emit

    async def run(self, run_id: str, journal: Journal) -> Trace:
        asked = self.asked
        everything = segments_of(asked.documents, asked.model.counter)
        self.emit(RunStarted(run_id=run_id, model=asked.model.name, chunks=0, steps=len(asked.claims)))
        if supports_only(self.options.scorer, asked.model):
            alike = self._support(everything)
            looked = await self._closer(everything, alike, (), None)
            return self._finished(run_id, everything, alike, replace(SUPPORT, forensics=looked))
        segments = shortlist(everything, f"{asked.question} {asked.answer}", asked.room)
        scored = asked.scored(segments)
        way = await choose_way(self.options.scorer, asked.model, asked.settings, journal, self.emit, first=scored)
        scorer, purse = way.make(scored), Purse(max_calls=asked.settings.max_calls)
        sizes = [segment.tokens for segment in segments]
        ledger = Ledger(scorer, sizes, overhead=asked.overhead, purse=purse)
        search = self._search(segments)
        found = [await self._one(ledger, scorer, way, index, search) for index in range(len(asked.claims))]
        utilities = [claim_utility(ledger, scorer, asked.claims, index) for index in range(len(found))]
        looked = await self._closer(segments, found, utilities, way.answering(scored))
        account = Account(
            kind=way.kind,
            scorer=way.label,
            method=self.options.method,
            search=ledger.usage,
            usage=way.usage,
            unexamined=len(everything) - len(segments),
            warnings=(*way.warnings, *_left_out(len(everything), len(segments), found)),
            forensics=looked,
        )
        return self._finished(run_id, segments, found, account)

    async def _closer(
        self,
        segments: Sequence[Segment],
        found: Sequence[Found],
        utilities: Sequence[Utility],
        answering: Answering | None,
    ) -> Forensics | None:
        if not self.options.forensic:
            return None
        return await look_closer(segments, found, utilities, self._search(segments), self.asked.question, answering)

    def _search(self, segments: Sequence[Segment]) -> Search:
        edges = Outline(self.asked.documents).edges([segment.span for segment in segments])
        return Search(k=self.options.k, seed=self.options.seed, edges=edges)

    def _support(self, segments: Sequence[Segment]) -> list[Found]:
        texts, asked = [segment.text for segment in segments], self.asked
        found: list[Found] = []
        for start, end in asked.claims:
            found.append(find_support(texts, asked.answer[start:end], self.options.k))
            self._told(len(found), SUPPORT.usage)
        return found

    def _told(self, done: int, usage: Usage) -> None:
        self.emit(StepDone(done=done, steps=len(self.asked.claims), usage=usage, outcome="traced"))

    async def _one(self, ledger: Ledger, scorer: Scorer, way: Way, index: int, search: Search) -> Found:
        claims = self.asked.claims
        if (most := self.options.max_equivalents) is not None:
            ledger.allow(most * (index + 1) / len(claims))  # What a claim leaves is the next one's.
        found = await find_claim(ledger, scorer, claims, index, METHODS[self.options.method], search)
        self._told(index + 1, way.usage)
        return found

    def _finished(self, run_id: str, segments: tuple[Segment, ...], found: Sequence[Found], account: Account) -> Trace:
        for warning in account.warnings:
            self.emit(Warned(message=warning))
        claims = zip(self.asked.claims, found, strict=True)
        return Trace(
            question=self.asked.question,
            answer=self.asked.answer,
            run_id=run_id,
            scorer=account.scorer,
            kind=account.kind,
            method=account.method,
            seed=self.options.seed,
            documents=tuple(document.source for document in self.asked.documents),
            segments=segments,
            claims=tuple(ClaimTrace(start=start, end=end, found=each) for (start, end), each in claims),
            examined=len(segments),
            unexamined=account.unexamined,
            search=account.search,
            usage=account.usage,
            warnings=account.warnings,
            forensics=account.forensics,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was used to find the causes, and what it cost."""

    kind: str
    scorer: str
    method: str
    search: TraceUsage = field(default_factory=TraceUsage)
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    unexamined: int = 0
    warnings: tuple[str, ...] = ()
    forensics: Forensics | None = None


SUPPORT = Account(
    kind="support",
    scorer="wording",
    method="support",
    warnings=("no model scored this: the sentences share the claim's wording, which does not show what caused it",),
)


def _left_out(sentences: int, examined: int, found: Sequence[Found]) -> Iterator[str]:
    if examined < sentences:
        yield f"{sentences - examined} of {sentences} sentences did not fit in the window and were not examined"
    yield from budget_warning(found)


def budget_warning(found: Sequence[Found]) -> Iterator[str]:
    """What has to be said when a budget ended the search."""
    if any(not each.complete for each in found):
        yield "the budget ended the search early: what was found so far is not certified"


async def find_claim(
    ledger: Ledger, scorer: Scorer, claims: Sequence[tuple[int, int]], index: int, find: Find, search: Search
) -> Found:
    """What one claim of a scored text rests on; a budget that is spent before the first score explains nothing."""
    try:
        if not scorer.offsets:
            await ledger.logprobs([frozenset()])
    except BudgetSpent:
        return unexplored()
    utility = claim_utility(ledger, scorer, claims, index)
    found = await find(utility, search)
    return replace(found, batches=tuple(utility.batches))


def claim_utility(ledger: Ledger, scorer: Scorer, claims: Sequence[tuple[int, int]], index: int) -> ClaimUtility:
    """V of one claim; the text must have been scored once."""
    return ClaimUtility(ledger, _columns(scorer.offsets, claims, index))


def _columns(offsets: Sequence[int], claims: Sequence[tuple[int, int]], index: int) -> slice:
    """The tokens of a claim: from its first character to that of the next claim."""
    first = 0 if index == 0 else bisect_left(offsets, claims[index][0] - 1)
    last = len(offsets) if index + 1 == len(claims) else bisect_left(offsets, claims[index + 1][0] - 1)
    return slice(first, max(first + 1, last))


async def _by_tracllm(utility: Utility, search: Search) -> Found:
    return await _examined("tracllm", tracllm(utility, k=search.k, seed=search.seed), utility, search)


async def _by_contextcite(utility: Utility, search: Search) -> Found:
    return await _examined("contextcite", contextcite(utility, k=search.k, seed=search.seed), utility, search)


async def _examined(method: str, ranking: Awaitable[dict[int, float]], utility: Utility, search: Search) -> Found:
    """The certificates of what a published method ranks first; a budget that ends leaves nothing of it."""
    try:
        return await examine(utility, list(await ranking), search, method)
    except BudgetSpent:
        return unexplored()


METHODS: Mapping[str, Find] = MappingProxyType(
    {"auto": find_causes, "tracllm": _by_tracllm, "contextcite": _by_contextcite}
)
