"""The checks: each finds its fault, none finds fault with clean prose."""

import random
from pathlib import Path

import pytest

from coa.testing.writers import prose
from coa.writing.check import check
from coa.writing.measure import Copies, copied, cut_at_loop, length_score, repetition

ROOT = Path(__file__).parents[2]
CLEAN = "# Title\n\n## One\n\nThe ferry left at six in the morning.\n\n## Two\n\n### Inner\n\nNobody came that night.\n"


@pytest.mark.parametrize(
    ("ratio", "score"),
    [(0.5, 50), (0.7, 78.6), (0.9, 94.4), (1.0, 100), (1.1, 96.7), (1.5, 83.3), (2, 66.7), (4, 0), (5, 0), (1 / 3, 0)],
)
def test_the_length_score_is_that_of_longbench_write(ratio: float, score: float):
    assert length_score(9000, round(9000 * ratio)) == pytest.approx(score, abs=0.06)
    assert length_score(100, 0) == 0.0


def test_clean_prose_raises_no_finding():
    assert check(CLEAN).findings == ()
    log = (ROOT / "examples/documents/lighthouse_log.txt").read_text("utf-8")
    assert repetition(log) < 0.2


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (CLEAN.replace("Nobody", "Nobody came back. " * 30 + "Nobody"), "repetition"),
        (CLEAN + "\n## Three\n\nThe ferry left at six in the morning.\n", "copied"),
        (CLEAN.replace("that night.", "that"), "truncation"),
        (CLEAN.replace("that night.", "that night.<|endoftext|>."), "residue"),
        (CLEAN.replace("that night.", "$STEP$."), "residue"),
        (CLEAN.replace("# Title\n\n", ""), "structure"),
        (CLEAN + "\n## Empty\n", "structure"),
    ],
)
def test_each_fault_is_found(text: str, name: str):
    assert name in {finding.check for finding in check(text).findings if finding.fails}


def test_the_length_is_checked_where_it_is_known():
    assert [finding.check for finding in check(CLEAN, 1000).findings] == ["length_score"]


def test_a_loop_is_cut_where_it_begins():
    start = prose(120, random.Random(1))
    looping = start + " " + "The lamp was lit and the oil was low again. " * 20
    cut = cut_at_loop(looping)
    assert cut.startswith(start) and cut.count("The lamp was lit") == 1
    assert cut_at_loop(start) == start


def test_copies_of_earlier_text_are_measured():
    first, second = prose(200, random.Random(1)), prose(200, random.Random(2))
    assert copied(second, [first]) == 0.0
    assert copied(first[: len(first) // 2] + second, [first]) > 0.25
    assert copied("", [first]) == 0.0
    copies = Copies()
    for text, before in ((first, []), (second, [first]), (first + second, [first, second])):
        assert copies.share(text) == copied(text, before)
        copies.add(text)
