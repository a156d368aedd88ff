"""Notes as a bounded, structured memory: facts with their evidence, open questions, entities.

A worker adds lines to the memory and never rewrites it, so that nothing fades from hand to hand as free text does, and
a refusal or an empty reply changes nothing. Code, not a model, keeps the memory within its bound: it drops the facts
with the least support and says which. (COSMIR, arXiv 2510.04568, gives workers such a memory; the bound is ours.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coa.agents.jsonlines import objects
from coa.agents.quotes import bind
from coa.tokens import TokenCounter
from coa.types import Fact, Notes, Passage

_MOST_QUESTIONS = 5
_MOST_ENTITIES = 12
_NO_NOTES = Notes()


class FactLine(BaseModel):
    """What a part says, the words that prove it, and how sure the worker is that it bears on the query."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    fact: Annotated[str, Field(min_length=1, max_length=600)]
    quote: str = ""
    confidence: Annotated[int, Field(ge=1, le=5)] = 3


class QuestionLine(BaseModel):
    """Something that another part may answer."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    question: Annotated[str, Field(min_length=1, max_length=300)]


class AnsweredLine(BaseModel):
    """The number of an open question that this part has answered."""

    model_config = ConfigDict(extra="ignore")

    answered: Annotated[int, Field(ge=1)]


class EntityLine(BaseModel):
    """Who or what somebody or something is."""

    model_config = ConfigDict(extra="ignore", str_strip_whitespace=True)

    entity: Annotated[str, Field(min_length=1, max_length=120)]
    what: Annotated[str, Field(max_length=200)] = ""


Line = FactLine | QuestionLine | AnsweredLine | EntityLine
_SHAPES: tuple[tuple[str, type[Line]], ...] = (
    ("fact", FactLine),
    ("question", QuestionLine),
    ("answered", AnsweredLine),
    ("entity", EntityLine),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Notes within their bound, and the facts that had to go."""

    notes: Notes
    forgotten: tuple[Fact, ...] = ()


def lines_in(text: str) -> tuple[list[Line], int]:
    """The lines of a worker's reply, and how many were none."""
    found = [_line(given) for _, given in objects(text)]
    good = [line for line in found if line is not None]
    return good, len(found) - len(good)


def _line(given: object) -> Line | None:
    if not isinstance(given, dict):
        return None
    values = cast("dict[str, Any]", given)
    shape = next((shape for name, shape in _SHAPES if name in values), None)
    try:
        return None if shape is None else shape.model_validate(values)
    except ValidationError:
        return None


def learned(lines: Iterable[Line], passage: Passage, notes: Notes, tag: str) -> tuple[Notes, int]:
    """The memory with what a part adds. Also how many quotes do not stand in the part; their facts stay."""
    facts, questions, entities = list(notes.facts), list(notes.questions), dict(notes.entities)
    evidence, issued, dropped = list(notes.evidence), notes.issued, 0
    answered: set[int] = set()
    for line in lines:
        match line:
            case FactLine(fact=fact, quote=quote, confidence=confidence):
                text = fact.replace("[[", "").replace("]]", "")
                proof = bind(f"[[{quote}]]", passage=passage, notes=replace(_NO_NOTES, issued=issued), tag=tag)
                dropped += proof.dropped if quote else 0
                issued = proof.notes.issued
                evidence += proof.notes.evidence
                markers = tuple(item.marker for item in proof.notes.evidence)
                facts.append(Fact(text=text, markers=markers, confidence=confidence, part=passage.part))
            case QuestionLine(question=question):
                questions.append(question)
            case AnsweredLine(answered=number):
                answered.add(number)
            case EntityLine(entity=entity, what=what):
                entities[entity] = what or entities.get(entity, "")
    still = [question for number, question in enumerate(questions, 1) if number not in answered]
    new = replace(
        notes,
        facts=_united(facts),
        questions=tuple(dict.fromkeys(still))[-_MOST_QUESTIONS:],
        entities=tuple(entities.items())[-_MOST_ENTITIES:],
        evidence=tuple(evidence),
        issued=issued,
    )
    return new, dropped


def united(notes: Sequence[Notes]) -> Notes:
    """Several memories as one, not yet bounded."""
    entities = {name: what for each in notes for name, what in each.entities}
    return Notes(
        facts=_united(fact for each in notes for fact in each.facts),
        questions=tuple(dict.fromkeys(question for each in notes for question in each.questions))[-_MOST_QUESTIONS:],
        entities=tuple(entities.items())[-_MOST_ENTITIES:],
        evidence=tuple(item for each in notes for item in each.evidence),
        issued=max((each.issued for each in notes), default=0),
    )


def bounded(notes: Notes, tokens: int, counter: TokenCounter) -> Kept:
    """The memory in at most so many tokens: entities go first, then the facts with the least support.

    Support is evidence, then the worker's confidence, then how often the fact was found. Of equals the one goes whose
    part has the most facts left, the latest first, so that no stretch of the document is favoured.
    """
    forgotten: list[Fact] = []
    notes = _written(notes, counter)
    while notes.tokens > tokens and (notes.entities or notes.questions or notes.facts):
        if notes.entities:
            notes = replace(notes, entities=notes.entities[: len(notes.entities) // 2])
        elif notes.facts:
            # A tenth at a time: counting is what costs.
            for _ in range(max(1, len(notes.facts) // 10)):
                weakest = _weakest(notes.facts)
                forgotten.append(weakest)
                notes = replace(notes, facts=tuple(fact for fact in notes.facts if fact is not weakest))
        else:
            notes = replace(notes, questions=notes.questions[1:])
        notes = _written(notes, counter)
    return Kept(notes=notes, forgotten=tuple(forgotten))


def _weakest(facts: Sequence[Fact]) -> Fact:
    share = Counter(fact.part for fact in facts)
    ranked = enumerate(facts)
    _, weakest = min(
        ranked,
        key=lambda item: (
            bool(item[1].markers),
            item[1].confidence,
            len(item[1].markers),
            -share[item[1].part],
            -item[0],
        ),
    )
    return weakest


def _united(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """Each fact once, with all its evidence and the highest confidence."""
    found: dict[str, Fact] = {}
    for fact in facts:
        key = " ".join(fact.text.casefold().split()).rstrip(".")
        if (known := found.get(key)) is None:
            found[key] = fact
            continue
        markers = tuple(dict.fromkeys((*known.markers, *fact.markers)))
        found[key] = replace(known, markers=markers, confidence=max(known.confidence, fact.confidence))
    return tuple(found.values())


def _written(notes: Notes, counter: TokenCounter) -> Notes:
    """The memory with its text, and without evidence that no fact uses any more."""
    text = rendered(notes)
    used = {marker for fact in notes.facts for marker in fact.markers}
    evidence = tuple(item for item in notes.evidence if item.marker in used)
    return replace(notes, text=text, evidence=evidence, tokens=counter.count(text))


def rendered(notes: Notes) -> str:
    """The memory as workers and the manager read it."""
    blocks: list[str] = []
    if notes.facts:
        blocks.append("\n".join(["Facts (how sure, of 5):", *map(_fact_line, notes.facts)]))
    if notes.questions:
        numbered = [f"{number}. {question}" for number, question in enumerate(notes.questions, 1)]
        blocks.append("\n".join(["Open questions:", *numbered]))
    if notes.entities:
        blocks.append("\n".join(["Who and what:", *(f"- {name}: {what}" for name, what in notes.entities)]))
    return "\n".join(blocks)


def _fact_line(fact: Fact) -> str:
    marks = "".join(f" [{marker}]" for marker in fact.markers)
    return f"- {fact.text}{marks} ({fact.confidence})"
