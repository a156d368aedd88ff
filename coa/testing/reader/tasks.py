"""Reading tasks as prompts and answers: plain questions, notes carried on, and the product's own prompts."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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
from coa.testing.reader.lexicon import ABSENT, SHORTLY
from coa.testing.reader.prompting import segments
from coa.testing.reader.world import Fact, World
from coa.tokens import EstimateCounter
from coa.types import Evidence, Notes, Passage, Span, Task

NOTHING = "NO NEW INFORMATION"
_LETTERS = "bcdfghjklmnpqrstvwxz"
_LIMITS = (64, 128, 256, 300, 400, 512, 1024, 2048)
_BRIEF = 0.08
_WORN = 0.2
_INSTRUCTS = 40
_SPAN = Span(doc="", start=0, end=0)


class Turn(NamedTuple):
    """A prompt, its answer, and what kind of question it is."""

    prompt: str
    answer: str
    kind: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """A prompt and its answer; then, over the same text, further questions with theirs.

    ``weight`` is that of its answers in the loss: a long prompt with one short answer would else hardly count.
    """

    turns: tuple[Turn, ...]
    weight: float = 1.0


def chat(request: Request) -> str:
    """The prompt of a request without earlier answers, as the reader's chat template renders it."""
    (text,) = segments(request.messages)
    return text


def plain(text: str, question: str) -> str:
    """A text and a question."""
    return f"Text: {text}\nQuestion: {question}\nAnswer:"


def noted(notes: str, text: str, question: str) -> str:
    """Notes on what came before, a text and a question."""
    return f"Notes: {notes or 'none'}\n{plain(text, question)}"


def shortly(ask: Asked) -> tuple[str, str]:
    """A question that wants the value alone, and that value."""
    return f"{ask.question} {SHORTLY}", ask.fact.value or ABSENT


def reading(world: World, tokens: int) -> Exercise:
    """A text and as many questions as it is worth."""
    dense = world.rng.random() < 0.5
    facts = max(3, int(tokens / (world.rng.uniform(20, 40) if dense else world.rng.uniform(40, 250))))
    questions = min(facts, max(3, tokens // 32), 64)
    text = write(world, tokens=tokens - 20 * questions, facts=facts, questions=questions)
    turns: list[Turn] = []
    for ask in text.asked:
        brief = world.rng.random() < _BRIEF
        question, answer = shortly(ask) if brief else (ask.question, ask.answer)
        prompt = f"\nQuestion: {question}\nAnswer:" if turns else plain(str(text), question)
        turns.append(Turn(prompt, answer, "short" if brief else ask.kind))
    return Exercise(tuple(turns))


def carrying(world: World, tokens: int) -> Exercise:
    """Notes so far and a text: what is known is carried on, what is new is added, what is updated replaced."""
    count = world.rng.choice((1, 1, 2, 4, 6))
    text, asked, notes = _with_notes(world, tokens - 40 - 25 * count, count)
    turns: list[Turn] = []
    for ask in asked:
        prompt = f"\nQuestion: {ask.question}\nAnswer:" if turns else noted(" ".join(notes), str(text), ask.question)
        turns.append(Turn(prompt, ask.answer, "notes"))
    return Exercise(tuple(turns), weight=2.0)


def _with_notes(world: World, tokens: int, count: int) -> tuple[Text, list[Asked], list[str]]:
    """A text, questions, and notes that may already know an answer, or that it was not found so far."""
    rng = world.rng
    facts = max(count + 1, int(tokens / rng.uniform(24, 160)))
    mix = Mix(absent=0.6, updated=0.1, injected=0.0, two_hop=0.0)
    text = write(world, tokens=tokens, facts=facts, questions=count, mix=mix)
    notes = [] if rng.random() < 0.5 else [fact.sentence for fact in world.facts(rng.randint(1, 3))]
    sentences, asked = list(text.sentences), list[Asked]()
    for ask in text.asked:
        if ask.fact.value is None and rng.random() < 0.65:
            known = Fact(ask.fact.name, ask.fact.relation, world.value(ask.fact.relation))
            notes.insert(rng.randint(0, len(notes)), known.sentence)
            if rng.random() < 0.25:
                newer = world.changed(known)
                said = world.update(newer)
                sentences.insert(rng.randint(0, len(sentences)), said)
                ask = Asked(ask.question, newer.sentence, said, newer, "updated")
            else:
                ask = Asked(ask.question, known.sentence, None, known, "stated")
        elif rng.random() < 0.5:
            notes.insert(rng.randint(0, len(notes)), Fact(ask.fact.name, ask.fact.relation, None).sentence)
        asked.append(ask)
    return Text(tuple(sentences), (), text.lines), asked, notes


async def _never(request: Request) -> Reply:
    raise CoaError("a training prompt is never sent")


_PROMPTS = Prompts()
_COUNTER = EstimateCounter()


def _context(rng: random.Random, task: Task) -> Context:
    """What the agents render from, with a fence of its own."""
    fence = Fence(token=f"{rng.getrandbits(64):016x}", tag="".join(rng.choice(_LETTERS) for _ in range(3)))
    return Context(call=_never, counter=_COUNTER, prompts=_PROMPTS, fence=fence, task=task)


def _worn(world: World, prompt: str, fence: Fence) -> str:
    """The prompt, now and then without some lines of its instructions: the reader should survive their rewording."""
    if world.rng.random() >= _WORN:
        return prompt
    kept, inside = list[str](), False
    for line in prompt.split("\n"):
        inside = line == fence.open or (inside and line != fence.close)
        instructs = not inside and len(line) > _INSTRUCTS and not any(mark in line for mark in "[:<")
        if not instructs or world.rng.random() < 0.75:
            kept.append(line)
    return "\n".join(kept)


def _notes(lines: list[str], tag: str, first: int) -> Notes:
    """Notes as the product keeps them: each fact with the marker of its quote."""
    evidence = [Evidence(marker=f"{tag}{first + i}", span=_SPAN, quote=line) for i, line in enumerate(lines)]
    text = "\n".join(f"{line} [{item.marker}]" for line, item in zip(lines, evidence, strict=True))
    return Notes(text=text, evidence=tuple(evidence))


def working(world: World, tokens: int) -> Exercise:
    """The product's worker: quote what is new, or say that nothing is."""
    text, (ask,), lines = _with_notes(world, tokens - 660, 1)
    lines = [line for line in lines if ABSENT not in line][-2:] if ask.quote else [ask.answer] if ask.fact.value else []
    claim = world.rng.random() < 0.15
    query = world.changed(ask.fact).sentence if claim else ask.question
    ctx = _context(world.rng, Task(kind="verify" if claim else "qa", query=query))
    parts = world.rng.randint(2, 64)
    part = world.rng.randint(1, parts)
    passage = Passage(text=str(text), span=_SPAN, part=part, parts=parts)
    notes = _notes(lines, ctx.fence.tag, world.rng.randint(1, 8))
    request = Worker().request(passage, notes, ctx, max_tokens=world.rng.choice(_LIMITS))
    reply = f"{ask.answer} [[{ask.quote}]]" if ask.quote else NOTHING
    return Exercise((Turn(_worn(world, chat(request), ctx.fence), reply, "worker"),), weight=4.0)


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
        request = Merger().request(notes, ctx, max_tokens=256)
        prompt = _worn(world, chat(request), ctx.fence)
        return Exercise((Turn(prompt, stated if marker else NOTHING, role),), weight=3.0)
    if role == "answer":
        ctx, reply = _asking(draft, Task(kind="qa", query=gold.question)), stated
    else:
        claim = gold if world.rng.random() < 0.5 else world.changed(gold)
        verdict = "NOT FOUND" if marker is None else "SUPPORTED" if claim == gold else "CONTRADICTED"
        ctx, reply = _asking(draft, Task(kind="verify", query=claim.sentence)), f"{verdict}\n{stated}"
    quotes = notes.evidence if world.rng.random() < 0.8 else ()
    prompt = _worn(world, chat(Manager().request(notes, quotes, ctx, max_tokens=256)), ctx.fence)
    return Exercise((Turn(prompt, reply, role),), weight=3.0)


def _asking(ctx: Context, task: Task) -> Context:
    return Context(call=ctx.call, counter=ctx.counter, prompts=ctx.prompts, fence=ctx.fence, task=task)


def whole(world: World, tokens: int) -> Exercise:
    """The product's reader: a whole text, one question or claim, an answer with its quote."""
    text, ask = _text_and_question(world, tokens - 300)
    quote = f" [[{ask.quote}]]" if ask.quote else ""
    task, reply, role = Task(kind="qa", query=ask.question), ask.answer + quote, "whole"
    if ask.kind != "two hops" and world.rng.random() < 0.25:
        claim = ask.fact if ask.fact.value and world.rng.random() < 0.5 else world.changed(ask.fact)
        verdict = "NOT FOUND" if ask.fact.value is None else "SUPPORTED" if claim == ask.fact else "CONTRADICTED"
        task, reply, role = Task(kind="verify", query=claim.sentence), f"{verdict}\n{reply}", "whole verify"
    passage = Passage(text=str(text), span=_SPAN, part=1, parts=1)
    ctx = _context(world.rng, task)
    request = Reader().request(passage, ctx, max_tokens=world.rng.choice(_LIMITS))
    return Exercise((Turn(_worn(world, chat(request), ctx.fence), reply, role),), weight=4.0)


def tracing(world: World, tokens: int) -> Exercise:
    """The prompt by which the product asks again with some of the passages left out: one sentence a line."""
    text, ask = _text_and_question(world, tokens - 140)
    fence = _context(world.rng, Task(kind="qa", query="")).fence
    texts = "\n".join(text.sentences) if world.rng.random() < 0.5 else str(text)
    values = {"texts": texts, "question": ask.question, "open": fence.open, "close": fence.close}
    prompt = _PROMPTS["trace_answer"].render(**values).rstrip()
    again = "\nAnswer:" if world.rng.random() < 0.5 else ""  # as a chat, or as plain text
    return Exercise((Turn(_worn(world, prompt, fence) + again, ask.answer, "trace"),), weight=2.0)


def _text_and_question(world: World, tokens: int) -> tuple[Text, Asked]:
    facts = max(2, int(tokens / world.rng.uniform(20, 160)))
    text = write(world, tokens=tokens, facts=facts, questions=1, mix=Mix(two_hop=0.2))
    return text, text.asked[0]


Form = Callable[[World, int], Exercise]
SHARES: tuple[tuple[int, int, Form, float], ...] = (
    (0, 9999, reading, 0.50),
    (0, 9999, carrying, 0.16),
    (256, 9999, tracing, 0.06),
    (480, 1500, managing, 0.12),
    (480, 9999, whole, 0.14),
    (900, 9999, working, 0.18),
)
"""From how many tokens and up to how many a form fits, and its share of the exercises."""


def draw(world: World, tokens: int) -> Exercise:
    """An exercise of at most about so many tokens."""
    forms = [(form, share) for least, most, form, share in SHARES if least <= tokens <= most]
    form = world.rng.choices([form for form, _ in forms], [share for _, share in forms])[0]
    return form(world, tokens)
