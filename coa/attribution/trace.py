"""From a question, an answer and its sources to a `Trace`: which sentences each claim rests on, and what that cost."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from coa.attribution.auto import best_so_far, examine, find_causes
from coa.attribution.base import BudgetSpent, Found, Search, Segment, Utility
from coa.attribution.choose import SCORERS, Asked, Chosen, choose_scorer, overhead, room_for_segments, supports_only
from coa.attribution.contextcite import contextcite
from coa.attribution.ledger import ClaimUtility, Ledger, TraceUsage
from coa.attribution.segments import claims_of, segments_of, shortlist, without_markers
from coa.attribution.support import find_support
from coa.attribution.tracllm import tracllm
from coa.config import Settings
from coa.documents import Document
from coa.errors import UsageError
from coa.events import Emit, RunStarted, StepDone, Warned, ignore
from coa.runtime.journal import Journal
from coa.runtime.manifest import new_manifest
from coa.runtime.runs import open_journal
from coa.serving.base import Model
from coa.serving.resolve import resolve_model
from coa.session import default_window
from coa.types import Source, Task, Usage

Find = Callable[[Utility, Search], Awaitable[Found]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceOptions:
    """How to trace.

    Attributes:
        method: ``auto``, ``tracllm`` or ``contextcite``.
        scorer: ``auto``, ``logprobs``, ``regenerate``, ``support`` or ``hf:FOLDER``.
        k: Most sentences that one claim may be traced to.
        seed: Of every random choice.
        max_equivalents: Full-context prompts whose tokens may be spent, shared by the claims; None for no limit.
    """

    method: str = "auto"
    scorer: str = "auto"
    k: int = 5
    seed: int = 0
    max_equivalents: float | None = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTrace:
    """One claim, ``answer[start:end]``, and what it rests on."""

    start: int
    end: int
    found: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Which sentences of the sources each claim of an answer rests on.

    Attributes:
        answer: The answer that was scored, its citation numbers taken out.
        segments: What was examined, in document order; ``Cause.segment`` counts in it.
        unexamined: Sentences that did not fit in the window; those least like the answer.
        kind: ``logprobs``, ``regenerate`` or ``support`` (likeness of wording, which is no cause).
        search: What the searches consumed; ``usage`` is what was paid.
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
    unexamined: int
    search: TraceUsage
    usage: Usage
    warnings: tuple[str, ...] = ()


async def trace(
    question: str,
    answer: str,
    documents: Sequence[Document],
    settings: Settings,
    options: TraceOptions | None = None,
    *,
    emit: Emit = ignore,
    model: Model | None = None,
) -> Trace:
    """Find the sentences that each claim of ``answer`` rests on.

    Raises:
        UsageError: no question, no answer, an unknown method or scorer.
        ModelError: the model failed for good.
    """
    options = options or TraceOptions()
    answer = without_markers(answer)
    _check(question, answer, documents, options)
    model = model or resolve_model(settings)
    manifest = new_manifest(
        Task(kind="trace", query=f"{question}\n\n{answer}\n\n{options}"),
        [document.path for document in documents],
        [document.source for document in documents],
        model=model.name,
        base_url=settings.base_url,
        window=settings.window or await default_window(model),
        topology="trace",
        order="ltr",
    )
    try:
        with open_journal(manifest, settings) as (journal, opened):
            asked = Asked(
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


def _check(question: str, answer: str, documents: Sequence[Document], options: TraceOptions) -> None:
    if not question.strip():
        raise UsageError("no question was given", hint="Give the question that was answered with --question.")
    if not answer.strip():
        raise UsageError("there is no answer to trace", hint="Give the text of the answer with --answer.")
    if not documents:
        raise UsageError("no source was given", hint="Name at least one with --source.")
    if options.method not in METHODS:
        raise UsageError(f"unknown method {options.method!r}", hint=f"Choose one of: {', '.join(METHODS)}.")
    if options.scorer not in SCORERS and not options.scorer.startswith("hf:"):
        raise UsageError(
            f"unknown scorer {options.scorer!r}", hint=f"Choose one of: {', '.join(SCORERS)} or hf:FOLDER."
        )
    if options.k < 1:
        raise UsageError("a claim must be traceable to at least one sentence", hint="Give -k 1 or more.")


@dataclass(frozen=True, slots=True)
class _Work:
    """One trace: everything it needs, nothing that changes."""

    asked: Asked
    options: TraceOptions
    emit: Emit

    async def run(self, run_id: str, journal: Journal) -> Trace:
        everything = segments_of(self.asked.documents, self.asked.model.counter)
        self.emit(RunStarted(run_id=run_id, model=self.asked.model.name, chunks=0, steps=len(self.asked.claims)))
        if supports_only(self.options.scorer, self.asked.model):
            return self._finished(run_id, everything, self._support(everything), _SUPPORT)
        segments = shortlist(everything, f"{self.asked.question} {self.asked.answer}", room_for_segments(self.asked))
        chosen = await choose_scorer(self.options.scorer, self.asked, segments, journal, self.emit)
        ledger = Ledger(
            chosen.scorer,
            [segment.tokens for segment in segments],
            overhead=overhead(self.asked),
            max_calls=self.asked.settings.max_calls,
        )
        found = [await self._one(ledger, chosen, index) for index in range(len(self.asked.claims))]
        account = _Account(
            kind=chosen.scorer.kind,
            scorer=chosen.scorer.label,
            method=self.options.method,
            search=ledger.usage,
            usage=chosen.caller.usage,
            unexamined=len(everything) - len(segments),
            warnings=(*chosen.warnings, *_left_out(len(everything), len(segments), found)),
        )
        return self._finished(run_id, segments, found, account)

    def _support(self, segments: Sequence[Segment]) -> list[Found]:
        texts = [segment.text for segment in segments]
        answer = self.asked.answer
        return [find_support(texts, answer[start:end], self.options.k) for start, end in self.asked.claims]

    async def _one(self, ledger: Ledger, chosen: Chosen, index: int) -> Found:
        if not chosen.scorer.offsets:
            await ledger.logprobs([frozenset()])
        claims = self.asked.claims
        if (most := self.options.max_equivalents) is not None:
            ledger.allow(most * (index + 1) / len(claims))  # What a claim leaves is the next one's.
        utility = ClaimUtility(ledger, _columns(chosen.scorer.offsets, claims, index))
        found = await METHODS[self.options.method](utility, Search(k=self.options.k, seed=self.options.seed))
        self.emit(StepDone(done=index + 1, steps=len(claims), usage=chosen.caller.usage, outcome="traced"))
        return found

    def _finished(self, run_id: str, segments: tuple[Segment, ...], found: Sequence[Found], account: _Account) -> Trace:
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
            unexamined=account.unexamined,
            search=account.search,
            usage=account.usage,
            warnings=account.warnings,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What was used to find the causes, and what it cost."""

    kind: str
    scorer: str
    method: str
    search: TraceUsage = field(default_factory=TraceUsage)
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    unexamined: int = 0
    warnings: tuple[str, ...] = ()


_SUPPORT = _Account(
    kind="support",
    scorer="wording",
    method="support",
    warnings=("no model scored this: the sentences share the claim's wording, which does not show what caused it",),
)


def _left_out(sentences: int, examined: int, found: Sequence[Found]) -> Iterator[str]:
    if examined < sentences:
        yield f"{sentences - examined} of {sentences} sentences did not fit in the window and were not examined"
    if any(not each.complete for each in found):
        yield "the budget ended the search early: what was found so far is not certified"


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
        return await best_so_far(utility, (), search)


METHODS: Mapping[str, Find] = MappingProxyType(
    {"auto": find_causes, "tracllm": _by_tracllm, "contextcite": _by_contextcite}
)
