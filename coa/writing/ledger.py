"""The ledger: figures that a text gives to named things, and where two of them differ. Found by code, without a model.

It finds candidates: a name, a counted thing or a dated event, two values. Whether they contradict, a reader must say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coa.retrieval.terms import terms
from coa.sentences import sentence_spans

_NAME = re.compile(r"\b[A-ZÀ-Þ][\w’'-]+(?:\s+(?:of|de|van|von|the)?\s*[A-ZÀ-Þ][\w’'-]+)*")
_COUNT = re.compile(r"\b(\d[\d,. ]*\d|\d)\s+([a-zà-ÿ]{3,})")
_YEAR = re.compile(r"\b([a-zà-ÿ]{4,})\s+(?:in|on|since|from)\s+(?:\w+\s+){0,2}(\d{4})\b")
_VAGUE = frozenset(["The", "This", "That", "These", "Those", "There", "They", "When", "While", "After", "Before"])
_TIMES = frozenset(["year", "day", "hour", "minute", "week", "month", "o'clock", "percent"])
_MOST = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """``entity`` has ``value`` of ``attribute``, says a sentence of a section."""

    entity: str
    attribute: str
    value: str
    section: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Facts about the same attribute of the same entity that give different values."""

    entity: str
    attribute: str
    facts: tuple[Fact, ...]


def facts_in(section: str, text: str) -> list[Fact]:
    """The figures of a text that stand in one sentence with a name."""
    found: list[Fact] = []
    for start, end in sentence_spans(text):
        sentence = text[start:end]
        names = [name for name in _NAME.findall(sentence) if name not in _VAGUE]
        pairs = [(_stem(unit), _number(value)) for value, unit in _COUNT.findall(sentence)]
        pairs += [(_stem(verb), year) for verb, year in _YEAR.findall(sentence)]
        found += [
            Fact(entity=_named(name), attribute=attribute, value=value, section=section, sentence=sentence)
            for name in dict.fromkeys(names)
            for attribute, value in pairs
            if attribute and attribute not in _TIMES
        ]
    return found


def conflicts_in(texts: Iterable[tuple[str, str]], most: int = _MOST) -> list[Conflict]:
    """Where sections (id and text each) differ about a figure; the same sentences are named once."""
    by_key: dict[tuple[str, str], list[Fact]] = {}
    for section, text in texts:
        for fact in facts_in(section, text):
            by_key.setdefault((fact.entity, fact.attribute), []).append(fact)
    found: dict[tuple[str, ...], Conflict] = {}
    for (entity, attribute), facts in by_key.items():
        kept = _one_a_value(facts)
        if len(kept) > 1:
            sentences = tuple(sorted(fact.sentence for fact in kept))
            found.setdefault(sentences, Conflict(entity=entity, attribute=attribute, facts=tuple(kept)))
    return list(found.values())[:most]


def _one_a_value(facts: Sequence[Fact]) -> list[Fact]:
    """The first fact of each value; values of one sentence stand beside each other and do not conflict."""
    together = [fact.sentence for fact in facts]
    kept: dict[str, Fact] = {}
    for fact in facts:
        if together.count(fact.sentence) == 1:
            kept.setdefault(fact.value, fact)
    return list(kept.values())


def _stem(word: str) -> str:
    found = terms(word)
    return found[0] if found else ""


def _number(value: str) -> str:
    return re.sub(r"[,. ](?=\d{3}\b)", "", value).strip(" .,")


def _named(name: str) -> str:
    first, *rest = name.split()
    return " ".join(rest) if rest and first in _VAGUE else name
