"""Reading tasks as prompts and answers: plain questions, notes carried on, and the product's own prompts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from coa.agents.base import Context
from coa.agents.fence import Fence
from coa.agents.manager import Manager
from coa.agents.merger import Merger
from coa.agents.reader import Reader
from coa.agents.worker import Worker
from coa.errors import CoaError
from coa.prompts import Prompts
from coa.serving.base import Reply, Request
from coa.testing.reader.documents import Asked, Mix, Text, write
from coa.testing.reader.world import Fact, World
from coa.tokens import EstimateCounter
from coa.types import Evidence, Notes, Passage, Span, Task

NOTHING = "NO NEW INFORMATION"
_LETTERS = "bcdfghjklmnpqrstvwxz"
_SPAN = Span(doc="", start=0, end=0)


@dataclass(frozen=True, slots=True)
class Exercise:
    """A prompt and its answer; then, over the same text, further questions with theirs.

    ``weight`` is that of its answers in the loss: a long prompt with one short answer would else hardly count.
    """

    turns: tuple[tuple[str, str], ...]
    weight: float = 1.0


def chat(request: Request) -> str:
    """The prompt as the reader's chat template renders it: the contents in their order, then ``Answer:``."""
    return "\n".join([*(message.content for message in request.messages), "Answer:"])


def plain(text: str, question: str) -> str:
    """A text and a question."""
    return f"Text: {text}\nQuestion: {question}\nAnswer:"


def noted(notes: str, text: str, question: str) -> str:
    """Notes on what came before, a text and a question."""
    return f"Notes: {notes or 'none'}\n{plain(text, question)}"


def reading(world: World, tokens: int) -> Exercise:
    """A text and as many questions as it is worth."""
    dense = world.rng.random() < 0.5
    facts = max(3, int(tokens / (world.rng.uniform(24, 40) if dense else world.rng.uniform(40, 250))))
    questions = min(facts, max(3, tokens // 45), 24)
    text = write(world, tokens=tokens - 20 * questions, facts=facts, questions=questions)
    first, *others = text.asked
    turns = [(plain(str(text), first.question), first.answer)]
    turns += [(f"\nQuestion: {ask.question}\nAnswer:", ask.answer) for ask in others]
    return Exercise(tuple(turns))


def carrying(world: World, tokens: int) -> Exercise:
    """Notes so far and a text: what is known is carried on, what is new is added, what is updated replaced."""
    text, ask, notes = _with_notes(world, tokens - 60)
    turns = ((noted(" ".join(notes), str(text), ask.question), ask.answer),)
    return Exercise(turns, weight=2.0)


def _with_notes(world: World, tokens: int) -> tuple[Text, Asked, list[str]]:
    """A text, one question, and notes that may already know the answer."""
    rng = world.rng
    facts = max(2, int(tokens / rng.uniform(24, 160)))
    text = write(world, tokens=tokens, facts=facts, questions=1, mix=Mix(absent=0.55, updated=0.1, two_hop=0.0))
    ask = text.asked[0]
    notes = [fact.sentence for fact in world.facts(rng.randrange(0, 4))]
    if ask.fact.value is None and rng.random() < 0.65:
        known = Fact(ask.fact.name, ask.fact.relation, world.value(ask.fact.relation))
        notes.insert(rng.randint(0, len(notes)), known.sentence)
        if rng.random() < 0.25:
            newer = world.changed(known)
            at = rng.randint(0, len(text.sentences))
            said = world.update(newer)
            text = Text((*text.sentences[:at], said, *text.sentences[at:]), ())
            ask = Asked(ask.question, newer.sentence, said, newer)
        else:
            ask = Asked(ask.question, known.sentence, None, known)
    elif ask.fact.value is None and rng.random() < 0.5:
        notes.insert(rng.randint(0, len(notes)), ask.answer)
    return text, ask, notes


async def _never(request: Request) -> Reply:
    raise CoaError("a training prompt is never sent")


_PROMPTS = Prompts()
_COUNTER = EstimateCounter()


def _context(rng: random.Random, task: Task) -> Context:
    """What the agents render from, with a fence of its own."""
    fence = Fence(token=f"{rng.getrandbits(64):016x}", tag="".join(rng.choice(_LETTERS) for _ in range(3)))
    return Context(call=_never, counter=_COUNTER, prompts=_PROMPTS, fence=fence, task=task)


def _notes(lines: list[str], tag: str, first: int) -> Notes:
    """Notes as the product keeps them: each fact with the marker of its quote."""
    evidence = [Evidence(marker=f"{tag}{first + i}", span=_SPAN, quote=line) for i, line in enumerate(lines)]
    text = "\n".join(f"{line} [{item.marker}]" for line, item in zip(lines, evidence, strict=True))
    return Notes(text=text, evidence=tuple(evidence))


def working(world: World, tokens: int) -> Exercise:
    """The product's worker: quote what is new, or say that nothing is."""
    text, ask, lines = _with_notes(world, tokens - 640)
    lines = [line for line in lines if "(not" not in line][-2:] if ask.quote else [ask.answer] if ask.fact.value else []
    claim = world.rng.random() < 0.15
    query = world.changed(ask.fact).sentence if claim else ask.question
    ctx = _context(world.rng, Task(kind="verify" if claim else "qa", query=query))
    parts = world.rng.randint(2, 40)
    part = world.rng.randint(1, parts)
    passage = Passage(text=str(text), span=_SPAN, part=part, parts=parts)
    notes = _notes(lines, ctx.fence.tag, world.rng.randint(1, 8))
    request = Worker().request(passage, notes, ctx, max_tokens=world.rng.choice((64, 128, 256, 512)))
    reply = f"{ask.answer} [[{ask.quote}]]" if ask.quote else NOTHING
    return Exercise(((chat(request), reply),), weight=4.0)


def _noted_facts(world: World, tag: str) -> tuple[Notes, Fact, str | None]:
    """Notes of several facts, a fact to ask for and its marker (None: the notes do not have it)."""
    facts = world.facts(world.rng.randint(1, 6))
    gold = world.rng.choice(facts)
    kept = [fact for fact in facts if fact is not gold] if world.rng.random() < 0.25 else facts
    notes = _notes([fact.sentence for fact in kept], tag, world.rng.randint(1, 5))
    marker = next((item.marker for fact, item in zip(kept, notes.evidence, strict=True) if fact is gold), None)
    return notes, gold, marker


def managing(world: World, tokens: int) -> Exercise:
    """The product's manager, for a question or for a claim; and its merger."""
    role = world.rng.choice(("answer", "answer", "verify", "merge"))
    draft = _context(world.rng, Task(kind="qa", query=""))
    notes, gold, marker = _noted_facts(world, draft.fence.tag)
    stated = f"{gold.sentence} [{marker}]" if marker else Fact(gold.name, gold.relation, None).sentence
    if role == "merge":
        ctx = _asking(draft, Task(kind="qa", query=gold.question))
        return Exercise(
            ((chat(Merger().request(notes, ctx, max_tokens=256)), stated if marker else NOTHING),), weight=3.0
        )
    if role == "answer":
        ctx, reply = _asking(draft, Task(kind="qa", query=gold.question)), stated
    else:
        claim = gold if world.rng.random() < 0.5 else world.changed(gold)
        verdict = "NOT FOUND" if marker is None else "SUPPORTED" if claim == gold else "CONTRADICTED"
        ctx, reply = _asking(draft, Task(kind="verify", query=claim.sentence)), f"{verdict}\n{stated}"
    quotes = notes.evidence if world.rng.random() < 0.8 else ()
    return Exercise(((chat(Manager().request(notes, quotes, ctx, max_tokens=256)), reply),), weight=3.0)


def _asking(ctx: Context, task: Task) -> Context:
    return Context(call=ctx.call, counter=ctx.counter, prompts=ctx.prompts, fence=ctx.fence, task=task)


def whole(world: World, tokens: int) -> Exercise:
    """The product's reader: a whole text, one question, an answer with its quote."""
    budget = tokens - 280
    facts = max(2, int(budget / world.rng.uniform(24, 160)))
    text = write(world, tokens=budget, facts=facts, questions=1, mix=Mix(two_hop=0.0))
    ask = text.asked[0]
    ctx = _context(world.rng, Task(kind="qa", query=ask.question))
    passage = Passage(text=str(text), span=_SPAN, part=1, parts=1)
    reply = f"{ask.answer} [[{ask.quote}]]" if ask.quote else ask.answer
    return Exercise(((chat(Reader().request(passage, ctx, max_tokens=256)), reply),), weight=4.0)


Form = Callable[[World, int], Exercise]
SHARES: tuple[tuple[int, Form, float], ...] = (
    (0, reading, 0.62),
    (0, carrying, 0.12),
    (512, managing, 0.08),
    (512, whole, 0.06),
    (900, working, 0.12),
)
"""From how many tokens on a form fits, and its share of the exercises."""


def draw(world: World, tokens: int) -> Exercise:
    """An exercise of at most about so many tokens."""
    forms = [(form, share) for least, form, share in SHARES if tokens >= least]
    form = world.rng.choices([form for form, _ in forms], [share for _, share in forms])[0]
    return form(world, tokens)
