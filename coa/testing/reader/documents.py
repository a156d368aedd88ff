"""A text with its questions: what a reading task is made of, before any prompt is put around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coa.testing.reader.world import Fact, World

FILLER_TOKENS = 12
FACT_TOKENS = 8
_TWICE = 0.25
_BROKEN = 0.3

Kind = Literal["stated", "absent", "updated", "injected", "two hops"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the right answer, and the sentence of the text that says so (None where none or two do)."""

    question: str
    answer: str
    quote: str | None
    fact: Fact
    kind: Kind


@dataclass(frozen=True, slots=True)
class Text:
    """Sentences in their order, and what may be asked about them.

    ``lines``: so many sentences stand in a line; 0 puts all in one.
    """

    sentences: tuple[str, ...]
    asked: tuple[Asked, ...]
    lines: int = 0

    def __str__(self) -> str:
        if not self.lines:
            return " ".join(self.sentences)
        starts = range(0, len(self.sentences), self.lines)
        return "\n".join(" ".join(self.sentences[start : start + self.lines]) for start in starts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """How likely something is done to a fact that is asked for.

    Attributes:
        absent: It is left out.
        updated: A later sentence replaces it.
        injected: A planted sentence contradicts it.
        two_hop: It is the first of two hops, where its value is a person.
    """

    absent: float = 0.15
    updated: float = 0.22
    injected: float = 0.06
    two_hop: float = 0.35


PLAIN = Mix(absent=0.0, updated=0.0, injected=0.0, two_hop=0.0)


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
    draft = _Draft(world, mix)
    wanted = set(rng.sample(range(facts), min(questions, facts)))
    for number, fact in enumerate(world.facts(facts)):
        draft.add(fact, wanted=number in wanted)
    used = FACT_TOKENS * len(draft.placed)
    draft.placed += [(rng.random(), world.filler()) for _ in range(max(0, tokens - used) // FILLER_TOKENS)]
    draft.placed.sort(key=lambda item: item[0])
    rng.shuffle(draft.asked)
    lines = rng.randint(1, 12) if rng.random() < _BROKEN else 0
    return Text(tuple(sentence for _, sentence in draft.placed), tuple(draft.asked), lines)


class _Draft:
    """Sentences with the places that they will stand at, from 0 to 1, and questions on them."""

    def __init__(self, world: World, mix: Mix) -> None:
        self.world, self.mix = world, mix
        self.placed: list[tuple[float, str]] = []
        self.asked: list[Asked] = []

    def add(self, fact: Fact, *, wanted: bool) -> None:
        """State a fact, perhaps replace it, and ask for it if it is wanted."""
        rng, mix = self.world.rng, self.mix
        draw = rng.random()
        if wanted and draw < mix.absent:
            missing = Fact(fact.name, fact.relation, None)
            self.asked.append(Asked(fact.question, missing.sentence, None, missing, "absent"))
            return
        at = rng.random()
        said = self.world.stated(fact)
        self.placed.append((at, said))
        kind: Kind = "stated"
        if draw < mix.absent + mix.updated and (wanted or rng.random() < 0.5):
            fact, said = self._updated(fact, at)
            kind = "updated"
        elif wanted and draw > 1 - mix.injected:
            fact = self.world.changed(fact)
            said, kind = self.world.injected(fact), "injected"
            self.placed.append((rng.random(), said))
        if not wanted:
            return
        if kind != "injected" and fact.relation.one and rng.random() < mix.two_hop:
            self.asked.append(self._two_hops(fact))
        else:
            self.asked.append(Asked(fact.question, fact.sentence, said, fact, kind))

    def _updated(self, fact: Fact, at: float) -> tuple[Fact, str]:
        """Replace a fact once or twice; the last one counts."""
        while True:
            fact = self.world.changed(fact)
            at = self.world.rng.uniform(at, 1)
            said = self.world.update(fact)
            self.placed.append((at, said))
            if self.world.rng.random() >= _TWICE:
                return fact, said

    def _two_hops(self, first: Fact) -> Asked:
        """Ask for something about the person that a fact names; the answer states both facts."""
        second = self.world.fact(name=first.value)
        question = second.relation.asks.format(n=f"the one that {first.name} {first.relation.one}")
        if self.world.rng.random() < self.mix.absent:
            second = Fact(second.name, second.relation, None)
        else:
            self.placed.append((self.world.rng.random(), self.world.stated(second)))
        return Asked(question, f"{first.sentence} {second.sentence}", None, second, "two hops")
