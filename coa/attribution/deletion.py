"""What becomes of an answer as the sentences it rests on leave the documents: the chain is run again, best first.

Each hop's own curve keeps the notes that its agent was given. Here nothing is kept: the workers read less and write
other notes, and the answer that was given is scored with the last prompt that then results.
"""

from __future__ import annotations

from collections.abc import Sequence

from coa.attribution.base import BudgetSpent
from coa.attribution.forensics import kept_share
from coa.attribution.hops import Deleted, Deletion
from coa.attribution.pieces import pieces_of
from coa.attribution.rerun import Ask, Closer
from coa.attribution.segments import without_markers
from coa.attribution.through import Chain
from coa.errors import CoaError
from coa.events import Emit, Warned
from coa.serving.base import Request
from coa.types import Span


async def deletion_curve(
    closer: Closer, chain: Chain, ask: Ask, order: Sequence[tuple[int, Span]], text: str, emit: Emit
) -> Deletion | None:
    """Run the chain without the first sentence, without the first two, and so on, as far as the budget holds it.

    Args:
        closer: Runs it.
        chain: The hops that were found; scores the answer.
        ask: Sends what the run never sent.
        order: Numbers and places of the sentences, best first.
        text: The answer.
        emit: Told what it may cost before anything is sent.

    Returns:
        The curve; None where not even the whole answer could be scored.
    """
    try:
        whole = await chain.answer_after(None)
    except BudgetSpent:
        return None
    sent = (await closer.without(frozenset(), ask)).requests
    costs = [_cost(closer, chain, sent, {span for _, span in order[: j + 1]}) for j in range(len(order))]
    affordable = _affordable(chain, costs)
    calls, tokens = map(sum, zip(*costs, strict=True)) if costs else (0, 0)
    reckoned = f"{calls} calls, {tokens / chain.whole:.2f} full-context prompts"
    emit(Warned(message=f"deletion curve of {len(order)} sentences: at most about {reckoned}; {affordable} fit"))
    points: list[Deleted] = []
    before, question = without_markers(text), closer.manifest.task.query or ""
    try:
        for j in range(affordable):
            run = await closer.without(frozenset(span for _, span in order[: j + 1]), ask)
            value = await chain.answer_after(run.last)
            answer = without_markers(run.text)
            kept = kept_share(before, answer, question)
            points.append(Deleted(segment=order[j][0], value=value, answer=answer, kept=kept))
    except (BudgetSpent, CoaError):
        pass  # What was reached stands; the rest is said to be missing.
    return Deletion(
        whole=whole,
        points=tuple(points),
        calls=calls,
        equivalents=tokens / chain.whole,
        complete=len(points) == len(order),
    )


def _cost(closer: Closer, chain: Chain, sent: Sequence[Request], removed: set[Span]) -> tuple[int, int]:
    """Calls and tokens of one more run, at most about: all prompts from the first that held a sentence, and a score."""
    held = [any(piece.span in removed for piece in pieces_of(request, closer.tag)) for request in sent]
    again = sent[held.index(True) :] if True in held else ()
    return len(again) + 1, sum(map(closer.tokens, again)) + chain.answer_tokens


def _affordable(chain: Chain, costs: Sequence[tuple[int, int]]) -> int:
    """How many of the points fit in what is left."""
    calls = tokens = 0
    for j, (more, larger) in enumerate(costs):
        calls, tokens = calls + more, tokens + larger
        if not chain.purse.holds(calls, tokens):
            return j
    return len(costs)
