"""Tracing through a chain: the answer to the notes it was written from, the notes to the sentences that were read.

Each hop is scored with the prompt that was really sent, some of its pieces cut out, and the reply that really came
back. A hop is much shorter than the documents: a worker's prompt holds one part of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from coa.attribution.base import Cause, Found, Role, Scorer, Search, Segment
from coa.attribution.choose import Scored, Way, choose_way, supports_only
from coa.attribution.forensics import conflicts_of
from coa.attribution.hops import Hop, HopCause
from coa.attribution.ledger import Ledger, Purse
from coa.attribution.outline import Outline
from coa.attribution.pieces import Piece, expanded, note_spans, pieces_of
from coa.attribution.prompting import SentPrompting
from coa.attribution.replay import Played, Step
from coa.attribution.support import find_support
from coa.attribution.trace import METHODS, TraceOptions, claim_utility, find_claim
from coa.config import Settings
from coa.events import Emit
from coa.runtime.journal import Journal
from coa.serving.base import Model, Request, content_tokens
from coa.types import Evidence, Notes, Span

_SHARED = 0.5
"""Words that a note must share with the text of an earlier agent to be taken for its work."""


@dataclass(slots=True, kw_only=True)
class _Desk:
    """One step, ready to be scored: its pieces, its claims, and the ledger that remembers."""

    step: Step
    place: int
    pieces: tuple[Piece, ...]
    claims: tuple[tuple[int, int], ...]
    scorer: Scorer | None = None
    ledger: Ledger | None = None
    hops: dict[int, Found] = field(default_factory=dict[int, Found])

    @property
    def scored(self) -> Scored:
        ranges = [piece.ranges for piece in self.pieces]
        prompting = SentPrompting(sent=self.step.request.messages, ranges=ranges)
        return Scored(prompting=prompting, answer=self.step.text, claims=self.claims)


class Chain:
    """The hops of one run.

    Args:
        run: The run, played again.
        model: The model that scores.
        options: How to trace; ``max_equivalents`` counts in prompts that would hold all documents.
        settings: Limits.
        journal: Keeps what was scored.
        emit: Told of calls.
    """

    def __init__(
        self, run: Played, model: Model, options: TraceOptions, settings: Settings, journal: Journal, emit: Emit
    ) -> None:
        self._run, self._model, self._options = run, model, options
        self._settings, self._journal, self._emit = settings, journal, emit
        self._desks: dict[int, _Desk] = {}
        self._ways: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
        self._way: Way | None = None
        self._outline = Outline(run.documents)
        texts = sum(model.counter.count(document.text) for document in run.documents)
        self.whole = texts + model.counter.count(run.steps[-1].text)
        most = options.max_equivalents
        self.purse = Purse(max_calls=settings.max_calls, max_tokens=None if most is None else most * self.whole)

    @property
    def way(self) -> Way | None:
        """How it was scored; None before the first hop, and where wording was compared."""
        return self._way

    @property
    def claims(self) -> tuple[tuple[int, int], ...]:
        """The sentences of the final reply."""
        return self.claims_at(len(self._run.steps) - 1)

    def claims_at(self, place: int) -> tuple[tuple[int, int], ...]:
        """The sentences of the reply of one step."""
        return self._desk(place).claims

    @property
    def examined(self) -> int:
        """Pieces of all prompts that were taken apart."""
        return sum(len(desk.pieces) for desk in self._desks.values())

    async def hops_of(self, claim: int, place: int | None = None) -> tuple[Hop, ...]:
        """How one claim came through the agents' hands: its own hop first, then those of the notes that carry it.

        Args:
            claim: Number of a sentence.
            place: Of the step whose reply holds it; the last one where none is given.
        """
        hops: list[Hop] = []
        at = len(self._run.steps) - 1 if place is None else place
        await self._explain(at, claim, hops, self._ways.setdefault((at, claim), {}))
        return tuple(hops)

    @property
    def answer_tokens(self) -> int:
        """Tokens of scoring the answer after the last prompt."""
        step = self._run.steps[-1]
        counter = self._model.counter
        return content_tokens(step.request.messages, counter) + counter.count(step.text)

    async def answer_after(self, last: Request | None) -> float:
        """V of the run's answer, in nats, after another last prompt than its own, or after its own.

        Raises:
            BudgetSpent: nothing is left to score it.
        """
        desk = self._desk(len(self._run.steps) - 1)
        scorer, ledger = await self._scored(desk)
        if last is None or last.messages == desk.step.request.messages:
            (row,) = await ledger.logprobs([frozenset(range(len(desk.pieces)))])
            return float(row.sum())
        assert self._way is not None
        counter = self._model.counter
        shown = content_tokens(last.messages, counter)
        self.purse.pay(1, shown + counter.count(desk.step.text))
        prompting = SentPrompting(sent=last.messages, ranges=())
        scorer = self._way.make(Scored(prompting=prompting, answer=desk.step.text, claims=desk.claims))
        (row,) = await scorer.logprobs([frozenset()])
        return float(row.sum())

    async def against(self, place: int, claim: int) -> list[tuple[Span, float]]:
        """Sentences that lower v of a hop on the way of a claim, beside the hop's causes, and by how much.

        Raises:
            BudgetSpent: the look did not fit in what is left.
        """
        found: list[tuple[Span, float]] = []
        for step, sentence in self._ways.get((place, claim), {}):
            desk = self._desks[step]
            if desk.scorer is None or desk.ledger is None or not any(piece.span for piece in desk.pieces):
                continue
            utility = claim_utility(desk.ledger, desk.scorer, desk.claims, sentence)
            for conflict in await conflicts_of(utility, desk.hops[sentence], self._searching(desk)):
                if (span := desk.pieces[conflict.segment].span) is not None:
                    found.append((span, conflict.effect))
        return found

    async def _explain(self, place: int, claim: int, hops: list[Hop], seen: dict[tuple[int, int], int]) -> int:
        """Add the hop of one sentence of a step, and those behind it; return its place among the hops."""
        if (place, claim) in seen:
            return seen[place, claim]
        desk = self._desk(place)
        found = await self._found(desk, claim)
        here = seen[place, claim] = len(hops)
        hops.append(_hop(desk, claim, found, ()))
        causes: list[HopCause] = []
        for cause in found.causes:
            piece = desk.pieces[cause.segment]
            behind = self._writer(piece, desk) if piece.kind == "note" else None
            hop = None if behind is None else await self._explain(*behind, hops, seen)
            causes.append(_hop_cause(cause, piece, hop))
        hops[here] = _hop(desk, claim, found, tuple(causes))
        return here

    async def _found(self, desk: _Desk, claim: int) -> Found:
        if claim not in desk.hops:
            desk.hops[claim] = await self._search_in(desk, claim)
        return desk.hops[claim]

    async def _search_in(self, desk: _Desk, claim: int) -> Found:
        start, end = desk.claims[claim]
        if supports_only(self._options.scorer, self._model):
            told, tag = self._told(desk.step), self._run.fence.tag
            texts = [expanded(piece.text, told, tag) for piece in desk.pieces]
            return find_support(texts, expanded(desk.step.text[start:end], told, tag), self._options.k)
        scorer, ledger = await self._scored(desk)
        find = METHODS[self._options.method]
        return await find_claim(ledger, scorer, desk.claims, claim, find, self._searching(desk))

    def _searching(self, desk: _Desk) -> Search:
        edges = self._outline.edges([piece.span for piece in desk.pieces])
        return Search(k=self._options.k, seed=self._options.seed, edges=edges)

    async def _scored(self, desk: _Desk) -> tuple[Scorer, Ledger]:
        if desk.scorer is None or desk.ledger is None:
            if self._way is None:
                self._way = await choose_way(
                    self._options.scorer, self._model, self._settings, self._journal, self._emit, first=desk.scored
                )
            desk.scorer = self._way.make(desk.scored)
            counter = self._model.counter
            sizes = [counter.count(piece.text) + 1 for piece in desk.pieces]
            shown = content_tokens(desk.step.request.messages, counter)
            overhead = max(0, shown - sum(sizes)) + counter.count(desk.step.text)
            desk.ledger = Ledger(desk.scorer, sizes, overhead=overhead, purse=self.purse)
        return desk.scorer, desk.ledger

    def _desk(self, place: int) -> _Desk:
        if place not in self._desks:
            step, tag = self._run.steps[place], self._run.fence.tag
            claims = tuple(note_spans(step.text, tag))
            self._desks[place] = _Desk(step=step, place=place, pieces=pieces_of(step.request, tag), claims=claims)
        return self._desks[place]

    def _writer(self, note: Piece, shown_to: _Desk) -> tuple[int, int] | None:
        """The earliest step that wrote a note, and the sentence of its reply: later ones only handed it on."""
        tag = self._run.fence.tag
        wanted = expanded(note.text, self._told(shown_to.step), tag)
        if not wanted:
            return None
        best: tuple[float, int] | None = None
        for place in range(shown_to.place):
            step = self._run.steps[place]
            said = expanded(step.text, self._told(step), tag)
            if f" {wanted} " in f" {said} ":
                best = (1.0, place)
                break
            share = _share(wanted, said)
            if share >= _SHARED and (best is None or share > best[0]):
                best = (share, place)
        if best is None:
            return None
        desk = self._desk(best[1])
        told = self._told(desk.step)
        likeness = [_likeness(wanted, expanded(desk.step.text[a:b], told, tag)) for a, b in desk.claims]
        return best[1], max(range(len(likeness)), key=lambda i: likeness[i])

    def _told(self, step: Step) -> dict[str, str]:
        """The quotes behind the markers of the notes that a step was shown."""
        notes: Notes | None = step.request.inputs.get("notes")
        evidence: Sequence[Evidence] = notes.evidence if notes is not None else ()
        return {item.marker: item.quote for item in evidence}


def found_in_sources(hops: Sequence[Hop], k: int, index: dict[Span, int]) -> Found:
    """A claim's hops as one finding: the sentences of the sources at their ends, best first.

    A sentence's figures are those of the hop that read it; the claim's v are those of its own hop. It is certified when
    every hop that leads to the sentences is.

    Args:
        hops: Of the claim.
        k: Most sentences.
        index: Number of each segment by its span; new ones are added.
    """
    weights: dict[Span, float] = {}
    causes: dict[Span, HopCause] = {}
    _gather(hops, 0, 1.0, weights, causes)
    best = sorted(weights, key=lambda span: -weights[span])[:k]
    own = hops[0].found
    return Found(
        causes=tuple(_cause(causes[span], index.setdefault(span, len(index))) for span in best),
        v_all=own.v_all,
        v_none=own.v_none,
        v_only=own.v_only,
        v_without=own.v_without,
        certified=bool(best) and all(hop.found.certified for hop in hops),
        method=own.method,
        complete=all(hop.found.complete for hop in hops),
    )


def _gather(
    hops: Sequence[Hop], at: int, share: float, weights: dict[Span, float], causes: dict[Span, HopCause]
) -> None:
    """Follow the hops; a source weighs what the shares of its hops come to, multiplied."""
    hop = hops[at]
    whole = sum(max(0.0, cause.phi) for cause in hop.causes) or 1.0
    for cause in hop.causes:
        part = share * max(0.0, cause.phi) / whole
        if cause.span is not None:
            weights[cause.span] = weights.get(cause.span, 0.0) + part
            causes.setdefault(cause.span, cause)
        elif cause.hop is not None and cause.hop > at:
            _gather(hops, cause.hop, part, weights, causes)


def segment_of(span: Span, run: Played, model: Model) -> Segment:
    """The words at a span."""
    document = next(each for each in run.documents if each.id == span.doc)
    text = document.read(span)
    return Segment(span=span, text=text, tokens=model.counter.count(text) + 1)


def _cause(cause: HopCause, segment: int) -> Cause:
    role: Role = cause.role
    return Cause(segment=segment, phi=cause.phi, alone=cause.alone, drop=cause.drop, role=role)


def _hop(desk: _Desk, claim: int, found: Found, causes: tuple[HopCause, ...]) -> Hop:
    passage = desk.step.request.inputs.get("passage")
    start, end = desk.claims[claim]
    return Hop(
        agent=desk.step.agent,
        part=passage.part if passage is not None else None,
        parts=passage.parts if passage is not None else None,
        text=desk.step.text[start:end],
        causes=causes,
        found=found,
    )


def _hop_cause(cause: Cause, piece: Piece, hop: int | None) -> HopCause:
    return HopCause(
        kind=piece.kind,
        text=piece.text,
        span=piece.span,
        phi=cause.phi,
        alone=cause.alone,
        drop=cause.drop,
        role=cause.role,
        hop=hop,
    )


def _share(wanted: str, said: str) -> float:
    """Of the words of a note, how many another text holds."""
    words = set(wanted.split())
    return len(words & set(said.split())) / len(words)


def _likeness(a: str, b: str) -> float:
    """Jaccard's measure of two texts' words."""
    left, right = set(a.split()), set(b.split())
    return len(left & right) / max(1, len(left | right))
