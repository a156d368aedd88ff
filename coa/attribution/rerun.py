"""A chain run again without some sentences: prompts that do not change are answered by the journal, the others sent.

A worker that had a removed sentence in its passage reads the passage without it. Where its notes come out otherwise, so
do the prompts of all who read them, down to the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from coa.attribution.base import BudgetSpent
from coa.attribution.flags import gives_orders
from coa.attribution.forensics import Conflict, Forensics, kept_share
from coa.attribution.ledger import Purse
from coa.attribution.pieces import pieces_of
from coa.attribution.prompting import SentPrompting
from coa.attribution.replay import Recorder, session_of, steps_of
from coa.attribution.segments import without_markers
from coa.attribution.through import Chain
from coa.config import Settings
from coa.documents import Document
from coa.errors import CoaError
from coa.events import ignore
from coa.runtime.journal import Journal
from coa.runtime.manifest import Manifest
from coa.runtime.runs import Runs
from coa.sentences import sentence_spans
from coa.serving.base import Model, Reply, Request, content_tokens
from coa.types import Span

Ask = Callable[[Request], Awaitable[Reply]]


class Rerun(Recorder):
    """Stands where the caller stands in a run: cuts sentences out of prompts, sends those that the journal lacks.

    Args:
        manifest: The run.
        journal: Of the run.
        removed: The sentences.
        tag: Of the run's markers.
        ask: Sends a request.
        pay: Told of the tokens of each prompt before it is sent.
    """

    def __init__(
        self,
        manifest: Manifest,
        journal: Journal,
        *,
        removed: frozenset[Span],
        tag: str,
        ask: Ask,
        pay: Callable[[Request], None],
    ) -> None:
        super().__init__(manifest, journal)
        self._removed, self._tag, self._ask, self._pay = removed, tag, ask, pay

    async def __call__(self, request: Request) -> Reply:
        """The reply that came back in the run, or to a prompt that is another one now.

        Raises:
            BudgetSpent: nothing is left to send it.
            ModelError: the model failed for good.
        """
        return await super().__call__(self._cut(request))

    async def missing(self, request: Request) -> Reply:
        """Send what the run never sent."""
        self._pay(request)
        return await self._ask(request)

    def _cut(self, request: Request) -> Request:
        pieces = pieces_of(request, self._tag)
        kept = frozenset(i for i, piece in enumerate(pieces) if piece.span not in self._removed)
        if len(kept) == len(pieces):
            return request
        prompting = SentPrompting(sent=request.messages, ranges=[piece.ranges for piece in pieces])
        return replace(request, messages=prompting.messages(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Without:
    """A chain run again.

    Attributes:
        text: The answer.
        last: The prompt that it was written from.
        requests: All prompts, in the order in which they were sent or answered by the journal.
    """

    text: str
    last: Request
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closer:
    """What a closer look at a chain needs beside its hops.

    Attributes:
        ask: Sends a request to the model that answered; None where there is none to ask.
        index: Number of each segment by its span; what is found is added.
    """

    manifest: Manifest
    runs: Runs
    settings: Settings
    model: Model
    tag: str
    purse: Purse
    ask: Ask | None
    index: dict[Span, int]

    async def look(
        self,
        chain: Chain,
        documents: Sequence[Document],
        causes: Sequence[Span],
        claims: Sequence[tuple[int, int] | None],
        text: str,
        *,
        whole: bool,
    ) -> Forensics:
        """Orders in the documents, conflicts in the prompts that were taken apart, and the answer that is left.

        Args:
            chain: The hops that were found.
            documents: All that were read.
            causes: Sentences that the answer rests on.
            claims: Step and sentence of each claim.
            text: The answer.
            whole: Whether every search ended by itself.
        """
        orders = _orders(documents)
        removed = tuple(span for span in causes if span in orders) or tuple(causes)
        conflicts, complete = await self._conflicts(chain, claims)
        without: str | None = None
        if self.ask is not None and removed:
            try:
                without = without_markers((await self.without(frozenset(removed), self.ask)).text)
            except BudgetSpent:
                complete = False
            except CoaError:
                without = None
        before = without_markers(text) if without is not None else None
        question = self.manifest.task.query or ""
        return Forensics(
            orders=tuple(self._number(span) for span in orders),
            conflicts=tuple(sorted(conflicts, key=lambda conflict: conflict.effect)),
            removed=tuple(self._number(span) for span in removed),
            before=before,
            without=without,
            kept=None if before is None or without is None else kept_share(before, without, question),
            complete=complete and whole,
        )

    async def _conflicts(self, chain: Chain, claims: Sequence[tuple[int, int] | None]) -> tuple[list[Conflict], bool]:
        found: list[Conflict] = []
        try:
            for claim, way in enumerate(claims):
                found += (
                    []
                    if way is None
                    else [
                        Conflict(segment=self._number(span), claim=claim, effect=effect)
                        for span, effect in await chain.against(*way)
                    ]
                )
        except BudgetSpent:
            return found, False
        return found, True

    async def without(self, removed: frozenset[Span], ask: Ask) -> Without:
        """The same pipeline without these sentences.

        Raises:
            BudgetSpent: nothing is left to send what is new.
            CoaError: a prompt failed for good, or nobody wrote an answer.
        """
        session = await session_of(self.manifest, self.runs, self.settings, self.model)
        with self.runs.journal(self.manifest) as journal:
            door = Rerun(self.manifest, journal, removed=removed, tag=self.tag, ask=ask, pay=self._pay)
            outcome = await session.pipeline.run(session.job(door, ignore))
        last = steps_of(door, session, outcome.sample)[-1].request
        return Without(text=outcome.text, last=last, requests=tuple(request for request, _ in door.said))

    def tokens(self, request: Request) -> int:
        """Tokens of a prompt."""
        return content_tokens(request.messages, self.model.counter)

    def _pay(self, request: Request) -> None:
        self.purse.pay(1, self.tokens(request))

    def _number(self, span: Span) -> int:
        return self.index.setdefault(span, len(self.index))


def _orders(documents: Sequence[Document]) -> tuple[Span, ...]:
    """Sentences that read like orders to a model."""
    return tuple(
        document.span(start, end)
        for document in documents
        for start, end in sentence_spans(document.text)
        if gives_orders(document.text[start:end])
    )
