"""What the gates measure: each function asks questions over names held out from training and counts right answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from coa.testing.reader import heads, tasks
from coa.testing.reader.documents import PLAIN, Asked, Mix, Text, write
from coa.testing.reader.reading import Reading
from coa.testing.reader.tasks import noted, plain
from coa.testing.reader.world import World

Figure = tuple[int, int]
"""Right answers, and how many were asked for."""
Measure = Callable[[Reading, int], Figure]
_CHUNK = 200
_PASSAGES = 10
_EACH = 4
UPDATED = Mix(absent=0.0, updated=1.0, injected=0.0, two_hop=0.0)
MISSING = Mix(absent=1.0, updated=0.0, injected=0.0, two_hop=0.0)
HOPS = Mix(absent=0.0, updated=0.0, injected=0.0, two_hop=1.0)


def world(seed: str) -> World:
    """A world of held-out names."""
    return World(random.Random(seed), held_out=True)


def questions(n: int, *, tokens: int, facts: int, mix: Mix, kind: str | None = None) -> Iterator[tuple[Text, Asked]]:
    """So many questions, a few for each text; of one kind if it is given."""
    asked = seed = 0
    while asked < n:
        text = write(world(f"gate/{seed}"), tokens=tokens, facts=facts, questions=_EACH, mix=mix)
        seed += 1
        for ask in text.asked:
            if asked < n and kind in (None, ask.kind):
                asked += 1
                yield text, ask


def exact(**shape: Any) -> Measure:
    """The generated answer is right to the last character, over texts of that shape."""

    def measure(reading: Reading, n: int) -> Figure:
        pairs = [(plain(str(text), ask.question), ask.answer) for text, ask in questions(n, **shape)]
        return _right(reading.answers([prompt for prompt, _ in pairs]), [answer for _, answer in pairs])

    return measure


def product(form: tasks.Form, tokens: int) -> Measure:
    """The generated reply to one of the product's own prompts is right to the last character."""

    def measure(reading: Reading, n: int) -> Figure:
        turns = [form(world(f"product/{seed}"), tokens).turns[0] for seed in range(n)]
        return _right(reading.answers([turn.prompt for turn in turns], 96), [turn.answer for turn in turns])

    return measure


def _right(found: list[str], answers: list[str]) -> Figure:
    return sum(a == b for a, b in zip(found, answers, strict=True)), len(answers)


def chunked(seed: int, chunks: int) -> tuple[list[Text], Asked]:
    """Chunks of a document with two facts each, and a question on one of all those facts."""
    here = world(f"chain/{seed}")
    texts = [write(here, tokens=_CHUNK, facts=2, questions=1, mix=PLAIN) for _ in range(chunks)]
    return texts, here.rng.choice(texts).asked[0]


def chained(chunks: int, *, whole: bool = False) -> Measure:
    """A fact in one of many chunks: carried in notes from chunk to chunk, or asked of all the text at once."""

    def measure(reading: Reading, n: int) -> Figure:
        documents = [chunked(seed, chunks) for seed in range(n)]
        answers = [ask.answer for _, ask in documents]
        if whole:
            prompts = [plain("\n".join(map(str, texts)), ask.question) for texts, ask in documents]
            return _right(reading.answers(prompts), answers)
        notes = [""] * n
        for number in range(chunks):
            read = zip(notes, documents, strict=True)
            notes = reading.answers([noted(note, str(texts[number]), ask.question) for note, (texts, ask) in read])
        return _right(notes, answers)

    return measure


def left_out(reading: Reading, n: int) -> Figure:
    """Without its passage an answer loses more probability than without any other."""
    pairs: list[tuple[str, str]] = []
    gold: list[int] = []
    for seed in range(n):
        here = world(f"left out/{seed}")
        texts = [write(here, tokens=60, facts=2, questions=1, mix=PLAIN) for _ in range(_PASSAGES)]
        gold.append(here.rng.randrange(_PASSAGES))
        ask = texts[gold[-1]].asked[0]
        for out in range(_PASSAGES):
            kept = "\n".join(str(text) for number, text in enumerate(texts) if number != out)
            pairs.append((plain(kept, ask.question), ask.answer))
    scores = reading.log_probabilities(pairs)
    rows = [scores[start : start + _PASSAGES] for start in range(0, len(scores), _PASSAGES)]
    return sum(row.index(min(row)) == at for row, at in zip(rows, gold, strict=True)), n


def turned(planted: Callable[..., str], reading: Reading, n: int) -> Figure:
    """A planted sentence turns the answer, and without it the answer is the old one again."""
    prompts: list[str] = []
    answers: list[str] = []
    for seed in range(n):
        here = world(f"injected/{seed}")
        text = write(here, tokens=300, facts=6, questions=1, mix=PLAIN)
        ask = text.asked[0]
        forged = here.changed(ask.fact)
        prompts += [plain(f"{text} {planted(here, forged)}", ask.question), plain(str(text), ask.question)]
        answers += [forged.sentence, ask.answer]
    found = reading.answers(prompts)
    both = [found[i : i + 2] == answers[i : i + 2] for i in range(0, len(found), 2)]
    return sum(both), n


forged_update: Measure = partial(turned, World.update)
planted_order: Measure = partial(turned, World.injected)


def attention(reading: Reading, n: int, *, full: int) -> Figure:
    """Answers foretold over 512 tokens when only the first ``full`` of the ranked KV heads see everything."""
    shape: dict[str, Any] = {"tokens": 512, "facts": 6, "mix": PLAIN}
    pairs = [(plain(str(text), ask.question), ask.answer) for text, ask in questions(n + 24, **shape)]
    ranking = heads.ranked(reading, pairs[n:]) if 0 < full < len(heads.all_heads(reading)) else heads.all_heads(reading)
    with heads.streaming(reading, ranking[full:]):
        return heads.foretold(reading, pairs[:n])[0], n


def full_attention(reading: Reading, n: int) -> Figure:
    """Every KV head sees everything."""
    return attention(reading, n, full=len(heads.all_heads(reading)))


def streaming_only(reading: Reading, n: int) -> Figure:
    """No KV head does."""
    return attention(reading, n, full=0)


def best_half(reading: Reading, n: int) -> Figure:
    """The half that matters most does; it was ranked on other questions."""
    return attention(reading, n, full=len(heads.all_heads(reading)) // 2)
