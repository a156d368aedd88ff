"""Citation measures against cases worked by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coa.attribution.metrics import (
    Insight,
    citation_scores,
    holds_the_words,
    mean_f1,
    references,
    sentences_with_references,
    set_scores,
    summhay_scores,
    without_references,
)

PASSAGES = ["alpha", "beta", "gamma", "alpha beta"]
ANSWER = ["alpha beta [1][2].", "alpha [1][3].", "gamma.", "beta [9].", "alpha [0]."]


def subset(premise: str, hypothesis: str) -> bool:
    return set(hypothesis.rstrip(".").split()) <= set(premise.split())


def test_the_compatible_mode_gives_the_figures_of_the_published_script() -> None:
    scores = citation_scores(ANSWER, PASSAGES, subset, mode="compatible")
    assert (scores.recall, scores.precision, scores.references) == (0.6, 0.8, 5)
    assert scores.f1 == pytest.approx(0.6857, abs=5e-5)


def test_the_strict_mode_counts_a_citation_of_nothing_as_wrong() -> None:
    scores = citation_scores(ANSWER, PASSAGES, subset)
    assert (scores.recall, scores.precision, scores.references) == (0.4, 3 / 6, 6)


def test_an_answer_is_parted_with_its_marks() -> None:
    text = "The ship sailed. [1] She came back [2]. Nobody asked."
    assert sentences_with_references(text) == ["The ship sailed. [1]", "She came back [2].", "Nobody asked."]
    assert sentences_with_references("[1] The ship sailed.") == ["[1] The ship sailed."]


@pytest.mark.parametrize(
    ("sentence", "numbers"),
    [
        ("As said [4-5].", [4, 5]),
        ("As said [1, 3; 3].", [1, 3]),
        ("Source 13 says so.", []),
        ("Signed [sic] in [a1].", []),
        ("Backwards [5-4].", [5, 4]),
        ("Endless [1-999999999].", [1, 999999999]),
    ],
)
def test_the_parser_takes_numbers_only(sentence: str, numbers: list[int]) -> None:
    assert references(sentence) == numbers


def test_a_claim_stands_without_its_marks() -> None:
    assert without_references("The lamp was lit [1][2-3].") == "The lamp was lit."


def test_nothing_said_and_nothing_cited_are_zeros() -> None:
    assert citation_scores("", PASSAGES, subset).f1 == 0
    silent = citation_scores("alpha.", PASSAGES, subset)
    assert (silent.recall, silent.precision, silent.sentences) == (0, 0, 1)
    assert mean_f1([]) == 0


def test_mean_f1_takes_each_answer_by_itself() -> None:
    good, bad = citation_scores("alpha [1].", PASSAGES, subset), citation_scores("alpha [2].", PASSAGES, subset)
    assert mean_f1([good, bad]) == 0.5


def test_the_words_are_a_proxy() -> None:
    assert holds_the_words("The keeper lit the old lamp at dusk.", "The keeper lit the lamp.")
    assert not holds_the_words("The keeper lit the old lamp.", "The keeper broke the lamp.")
    assert not holds_the_words("Anything.", "")


def test_summhay_averages_citations_over_what_is_covered() -> None:
    scores = summhay_scores(
        [
            Insight(coverage=1, bullet="Boats sank [1, 2].", gold=frozenset({1, 2})),
            Insight(coverage=0.5, bullet="Nets tore [3].", gold=frozenset({3, 4})),
            Insight(coverage=0, bullet="", gold=frozenset({5})),
        ]
    )
    assert scores.coverage == pytest.approx(0.5)
    assert scores.citation == pytest.approx((1 + 2 / 3) / 2)
    assert scores.joint == pytest.approx((1 + 0.5 * 2 / 3) / 3)
    assert summhay_scores([]).joint == 0


def test_sets_are_compared_as_sets() -> None:
    assert set_scores([1, 1, 2], [2, 3]) == (0.5, 0.5, 0.5)
    assert set_scores([], []) == (1, 1, 1)
    assert set_scores([1], []) == (0, 0, 0)


@given(st.lists(st.text(max_size=40), max_size=6), st.lists(st.text(max_size=10), max_size=4))
def test_any_answer_has_a_score_between_0_and_1(answer: list[str], passages: list[str]) -> None:
    for mode in ("strict", "compatible"):
        scores = citation_scores(answer, passages, subset, mode=mode)
        assert 0 <= scores.precision <= 1
        assert 0 <= scores.recall <= 1
