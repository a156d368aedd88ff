"""A text with its questions: what a reading task is made of, before any prompt is put around it."""

from __future__ import annotations

from dataclasses import dataclass

from coa.testing.reader.world import Fact, World

FILLER_TOKENS = 12
FACT_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the right answer, and the sentence of the text that says so (None where none does)."""

    question: str
    answer: str
    quote: str | None
    fact: Fact


@dataclass(frozen=True, slots=True)
class Text:
    """Sentences in their order, and what may be asked about them."""

    sentences: tuple[str, ...]
    asked: tuple[Asked, ...]

    def __str__(self) -> str:
        return " ".join(self.sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How likely a fact that is asked for is left out, replaced later, or the first of two hops."""

    absent: float = 0.15
    updated: float = 0.2
    two_hop: float = 0.12


PLAIN = Mix(absent=0.0, updated=0.0, two_hop=0.0)


def write(world: World, *, tokens: int, facts: int, questions: int, mix: Mix | None = None) -> Text:
    """Write a text of about so many tokens with so many facts, and questions on some of them.

    Args:
        world: Draws the names and sentences.
        tokens: Length to aim at; facts come first, filler takes the rest.
        facts: Facts that are stated or, being asked for, left out.
        questions: At most one for each fact.
        mix: What kinds of questions.
    """
    mix = mix or Mix()
    rng = world.rng
    placed: list[tuple[float, str]] = []
    asked: list[Asked] = []
    made = world.facts(facts)
    wanted = set(rng.sample(range(facts), min(questions, facts)))
    for number, fact in enumerate(made):
        draw = rng.random()
        at = rng.random()
        if number in wanted and draw < mix.absent:
            asked.append(_absent(fact))
            continue
        said = world.stated(fact)
        placed.append((at, said))
        if draw < mix.absent + mix.updated and (number in wanted or rng.random() < 0.5):
            newer = world.changed(fact)
            said = world.update(newer)
            placed.append((rng.uniform(at, 1), said))
            fact = newer
        if number not in wanted:
            continue
        if fact.relation.one and rng.random() < mix.two_hop * 3:
            asked.append(_two_hops(world, fact, placed, mix))
        else:
            asked.append(Asked(fact.question, fact.sentence, said, fact))
    used = FACT_TOKENS * len(placed)
    placed += [(rng.random(), world.filler()) for _ in range(max(0, tokens - used) // FILLER_TOKENS)]
    placed.sort(key=lambda item: item[0])
    rng.shuffle(asked)
    return Text(tuple(sentence for _, sentence in placed), tuple(asked))


def _absent(fact: Fact) -> Asked:
    missing = Fact(fact.name, fact.relation, None)
    return Asked(fact.question, missing.sentence, None, missing)


def _two_hops(world: World, first: Fact, placed: list[tuple[float, str]], mix: Mix) -> Asked:
    """Ask for something about the person that a fact names; the answer states both facts."""
    second = world.fact(name=first.value)
    question = second.relation.asks.format(n=f"the one that {first.name} {first.relation.one}")
    if world.rng.random() < mix.absent:
        second = Fact(second.name, second.relation, None)
    else:
        placed.append((world.rng.random(), second.sentence))
    return Asked(question, f"{first.sentence} {second.sentence}", None, second)
