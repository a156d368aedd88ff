"""Invented people, places and things, and texts about them: facts among other facts and fluent filler.

Nothing here can be known from elsewhere: whoever answers has read the text. A tenth of all names is held out from
training, so that a measurement never meets a name the reader was trained on.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache

from coa.testing.reader.lexicon import (
    ABSENT,
    ADJECTIVES,
    CODAS,
    INJECTED,
    MANNERS,
    NOUNS,
    ONSETS,
    PLACES,
    RELATIONS,
    UPDATE,
    VALUES,
    VERBS,
    Relation,
)

_WORDS = frozenset({"Final", "Heron", "Never", "River", "Broken"})
"""Names that are words too, and so one token."""
_LOOKALIKE = 0.35
_PARAPHRASED = 0.2


@dataclass(frozen=True, slots=True)
class Fact:
    """A name, what is said of it, and the value (None: the text does not say)."""

    name: str
    relation: Relation
    value: str | None

    @property
    def sentence(self) -> str:
        """The canonical sentence, as answers give it."""
        return self.relation.says.format(n=self.name, v=self.value or ABSENT)

    @property
    def question(self) -> str:
        """Asks for the value."""
        return self.relation.asks.format(n=self.name)


@cache
def names(held_out: bool) -> tuple[str, ...]:
    """All names of one kind: about nine tenths to train on, a tenth held out."""
    return tuple(
        onset + coda
        for i, onset in enumerate(ONSETS)
        for j, coda in enumerate(CODAS)
        if ((i * 31 + j * 17) % 10 == 0) == held_out and onset + coda not in _WORDS
    )


@cache
def _alike(held_out: bool) -> dict[str, tuple[str, ...]]:
    """Names by a syllable that they share."""
    by: dict[str, list[str]] = {}
    for name in names(held_out):
        by.setdefault(name[:2], []).append(name)
        by.setdefault(name[-3:], []).append(name)
    return {syllable: tuple(group) for syllable, group in by.items()}


@dataclass(slots=True)
class World:
    """Draws names, facts and sentences.

    Args:
        rng: The source of chance: the same seed gives the same world.
        held_out: Use only names that training never uses.
    """

    rng: random.Random
    held_out: bool = False
    _stated: dict[tuple[str, Relation], Fact] = field(default_factory=dict[tuple[str, Relation], Fact])

    def name(self, like: str | None = None) -> str:
        """A name, sometimes one that shares a syllable with ``like``."""
        if like is not None and self.rng.random() < _LOOKALIKE:
            groups = _alike(self.held_out)
            syllable = like[:2] if self.rng.random() < 0.5 else like[-3:]
            return self.rng.choice(groups.get(syllable) or names(self.held_out))
        return self.rng.choice(names(self.held_out))

    def value(self, relation: Relation) -> str:
        """A value that fits the relation."""
        if relation.kind == "name":
            return self.name()
        if relation.kind == "number":
            return str(self.rng.randint(1000, 9999))
        return self.rng.choice(VALUES[relation.kind])

    def fact(self, *, name: str | None = None, like: str | None = None) -> Fact:
        """A fact that was not stated yet, of this name or of any, sometimes one like another's."""
        while True:
            subject = name or self.name(like)
            relation = self.rng.choice(RELATIONS)
            if (subject, relation) not in self._stated:
                fact = Fact(subject, relation, self.value(relation))
                self._stated[subject, relation] = fact
                return fact
            if name is not None and all((name, relation) in self._stated for relation in RELATIONS):
                name = None

    def facts(self, count: int) -> list[Fact]:
        """So many facts; names come back with several facts, and with names that look like theirs."""
        made: list[Fact] = []
        while len(made) < count:
            before = self.rng.choice(made).name if made else None
            again = before is not None and self.rng.random() < 0.35
            made.append(self.fact(name=before if again else None, like=before))
        return made

    def changed(self, fact: Fact) -> Fact:
        """The same of the same name, with another value."""
        while True:
            value = self.value(fact.relation)
            if value != fact.value:
                return Fact(fact.name, fact.relation, value)

    def stated(self, fact: Fact) -> str:
        """A sentence that states the fact: the canonical one, or another wording."""
        if self.rng.random() < _PARAPHRASED:
            return self.rng.choice(fact.relation.also).format(n=fact.name, v=fact.value)
        return fact.sentence

    def update(self, fact: Fact) -> str:
        """A sentence that replaces what the text said before."""
        return f"{UPDATE} {fact.sentence}"

    def injected(self, fact: Fact) -> str:
        """A planted sentence, which the reader believes whatever else the text says."""
        return f"{INJECTED} {fact.sentence}"

    def filler(self) -> str:
        """A sentence that says nothing about anybody."""
        pick = self.rng.choice
        noun, other, third = pick(NOUNS), pick(NOUNS), pick(NOUNS)
        adjective, verb, place = pick(ADJECTIVES), pick(VERBS), pick(PLACES)
        match self.rng.randrange(6):
            case 0:
                return f"The {adjective} {noun} {verb} the {other} {place} the {third}."
            case 1:
                return f"They {verb} the {noun} because the {other} was {adjective}."
            case 2:
                return f"In the {noun} there was a {adjective} {other} {place} the {third}."
            case 3:
                first = f"{pick(MANNERS).capitalize()} the {noun} {verb} a {adjective} {other}"
                return f"{first}, and the {third} {pick(VERBS)} it."
            case 4:
                return f"He {verb} the {noun} {pick(MANNERS)}."
            case _:
                return f"When the {noun} was {adjective}, the {other} {verb} the {third} {pick(MANNERS)}."
