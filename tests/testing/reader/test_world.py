"""What the reader reads: repeatable, of held-out names, and true to its own questions."""

from __future__ import annotations

import random

import pytest

from coa.testing.reader import tasks
from coa.testing.reader.documents import PLAIN, Mix, write
from coa.testing.reader.lexicon import ABSENT
from coa.testing.reader.world import World, names


def test_no_name_is_both_for_training_and_for_measuring() -> None:
    training, measuring = set(names(False)), set(names(True))
    assert not training & measuring
    assert 0.05 < len(measuring) / (len(training) + len(measuring)) < 0.2


def test_the_same_seed_writes_the_same_text() -> None:
    one, two = (write(World(random.Random("s")), tokens=300, facts=8, questions=4) for _ in range(2))
    assert one == two
    assert one != write(World(random.Random("t")), tokens=300, facts=8, questions=4)


def test_measured_texts_hold_no_name_of_the_training() -> None:
    training = set(names(False))
    for seed in range(20):
        text = write(World(random.Random(seed), held_out=True), tokens=400, facts=12, questions=6)
        asked = " ".join(f"{ask.question} {ask.answer}" for ask in text.asked)
        assert not {word.strip(".?") for word in f"{text} {asked}".split()} & training


def test_every_quote_is_in_the_text_and_holds_the_value() -> None:
    for seed in range(50):
        text = write(World(random.Random(seed)), tokens=400, facts=12, questions=8)
        for ask in text.asked:
            if ask.quote is not None:
                assert ask.quote in text.sentences
                assert ask.fact.value is not None and ask.fact.value in ask.quote


def test_what_is_absent_is_stated_nowhere() -> None:
    for seed in range(50):
        mix = Mix(absent=1.0, updated=0.0, injected=0.0, two_hop=0.0)
        text = write(World(random.Random(seed)), tokens=300, facts=8, questions=4, mix=mix)
        for ask in text.asked:
            relation, name = ask.fact.relation, ask.fact.name
            starts = [says.format(n=name, v="\0").split("\0")[0] for says in (relation.says, *relation.also)]
            assert ABSENT in ask.answer
            assert not any(sentence.startswith(tuple(starts)) for sentence in text.sentences)


def test_an_update_comes_after_what_it_replaces() -> None:
    seen = 0
    for seed in range(30):
        mix = Mix(absent=0.0, updated=1.0, injected=0.0, two_hop=0.0)
        text = write(World(random.Random(seed)), tokens=200, facts=5, questions=5, mix=mix)
        for ask in text.asked:
            assert ask.quote is not None and ask.quote.startswith("Update: ")
            stem = ask.fact.relation.says.format(n=ask.fact.name, v="\0").split("\0")[0]
            before = [i for i, sentence in enumerate(text.sentences) if sentence.startswith(stem)]
            seen += len(before)
            assert all(i < text.sentences.index(ask.quote) for i in before)
    assert seen > 50


@pytest.mark.parametrize("form", [form for _, _, form, _ in tasks.SHARES], ids=lambda form: form.__name__)
def test_every_form_has_an_answer_for_each_of_its_questions(form: tasks.Form) -> None:
    for seed in range(20):
        exercise = form(World(random.Random(seed)), 1024)
        assert all(turn.prompt.rstrip().endswith("Answer:") and turn.answer for turn in exercise.turns)


def test_a_worker_quotes_only_what_its_part_says() -> None:
    replies = set[str]()
    for seed in range(60):
        ((prompt, answer, _),) = tasks.working(World(random.Random(seed)), 1024).turns
        replies.add(answer.split("[[")[0] if answer == tasks.NOTHING else "quoted")
        if "[[" in answer:
            assert answer.split("[[")[1].removesuffix("]]") in prompt
    assert replies == {tasks.NOTHING, "quoted"}


def test_plain_texts_state_everything_once() -> None:
    text = write(World(random.Random(5)), tokens=500, facts=10, questions=10, mix=PLAIN)
    assert len(text.asked) == 10
    assert all(ask.quote and text.sentences.count(ask.quote) == 1 for ask in text.asked)
