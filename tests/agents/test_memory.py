"""Structured notes: what a worker adds, what is kept, and which facts go when there is no room."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coa.agents.memory import bounded, learned, lines_in, united
from coa.tokens import EstimateCounter
from coa.types import Fact, Notes, Passage, Span

TEXT = "Martha Quill keeps the light. The letter lay under the third stair. Tom rowed out before sunrise."
PASSAGE = Passage(text=TEXT, span=Span(doc="log", start=100, end=100 + len(TEXT)), part=2, parts=5)
COUNTER = EstimateCounter()


def add(notes: Notes, *lines: dict[str, object], passage: Passage = PASSAGE) -> tuple[Notes, int]:
    read, bad = lines_in("\n".join(json.dumps(line) for line in lines))
    assert not bad
    return learned(read, passage, notes, "kqz")


def test_a_fact_keeps_the_place_of_its_proof_and_a_made_up_quote_proves_nothing() -> None:
    notes, dropped = add(
        Notes(),
        {"fact": "Martha keeps the light.", "quote": "Martha Quill keeps the light", "confidence": 5},
        {"fact": "Tom left.", "quote": "Tom left at noon"},
        {"fact": "There is a light."},
    )
    assert [fact.markers for fact in notes.facts] == [("kqz1",), (), ()]
    assert dropped == 1
    (proof,) = notes.evidence
    assert (proof.span.start, proof.quote) == (100, "Martha Quill keeps the light")


def test_what_is_known_stays_and_a_fact_found_again_gains_evidence_and_confidence() -> None:
    notes, _ = add(Notes(), {"fact": "The letter is hidden.", "quote": "The letter lay", "confidence": 2})
    notes, _ = add(notes, {"fact": "the letter  is hidden", "quote": "under the third stair", "confidence": 4})
    (fact,) = notes.facts
    assert (fact.markers, fact.confidence, fact.part) == (("kqz1", "kqz2"), 4, 2)


def test_questions_are_opened_answered_and_bounded() -> None:
    notes, _ = add(Notes(), {"question": "Who hid it?"}, {"question": "When?"}, {"question": "Who hid it?"})
    assert notes.questions == ("Who hid it?", "When?")
    notes, _ = add(notes, {"answered": 1}, *({"question": f"Why {i}?"} for i in range(9)))
    assert "Who hid it?" not in notes.questions and len(notes.questions) == 5


def test_a_reply_may_be_fenced_an_array_or_hold_bad_lines() -> None:
    line = json.dumps({"fact": "So."})
    assert len(lines_in(f"```json\n{line}\n```")[0]) == len(lines_in(f"[{line}]")[0]) == 1
    good, bad = lines_in(
        f'{line}\nHere you are:\n{{"fact": ""}}\n{{"confidence": 3}}\n{{"fact": "x", "confidence": 9}}'
    )
    assert (len(good), bad) == (1, 4)


def memory(*facts: Fact) -> Notes:
    return Notes(facts=facts)


def fact(text: str, proven: bool, confidence: int, part: int) -> Fact:
    return Fact(text=text, markers=("kqz1",) if proven else (), confidence=confidence, part=part)


def test_the_facts_with_the_least_support_go_first_and_all_parts_keep_their_share() -> None:
    facts = [fact(f"Of part one, number {i}.", True, 3, 1) for i in range(6)]
    facts += [fact("Of part two.", True, 3, 2), fact("Unproven.", False, 5, 3), fact("Unsure.", True, 1, 3)]
    whole = bounded(memory(*facts), 10_000, COUNTER)
    assert not whole.forgotten
    kept = bounded(memory(*facts), whole.notes.tokens * 2 // 3, COUNTER)
    assert [each.text for each in kept.forgotten[:3]] == ["Unproven.", "Unsure.", "Of part one, number 5."]
    assert "Of part two." in {each.text for each in kept.notes.facts}


def test_entities_go_before_any_fact() -> None:
    notes, _ = add(
        memory(fact("A fact.", True, 3, 1)), *({"entity": f"Name {i}", "what": "somebody in it"} for i in range(12))
    )
    kept = bounded(notes, 30, COUNTER)
    assert not kept.forgotten and kept.notes.facts
    assert len(kept.notes.entities) < 12


@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=60), st.booleans(), st.integers(1, 5), st.integers(1, 9)), max_size=30
    ),
    st.integers(1, 200),
)
def test_the_bound_holds_and_every_fact_is_kept_or_told(facts: list[tuple[str, bool, int, int]], bound: int) -> None:
    notes = united([memory(*(fact(*each) for each in facts))])
    kept = bounded(notes, bound, COUNTER)
    assert kept.notes.tokens <= bound
    assert sorted(map(str, (*kept.notes.facts, *kept.forgotten))) == sorted(map(str, notes.facts))
    assert kept.notes.tokens == COUNTER.count(kept.notes.text)


@pytest.mark.parametrize("text", ["", "No JSON here.", "[1, 2]", "{}", "null"])
def test_what_is_no_memory_gives_no_lines(text: str) -> None:
    assert not lines_in(text)[0]
