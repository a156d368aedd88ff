"""Which choice the first line of a reply names."""

from __future__ import annotations

import pytest

from coa.agents.closed import choice_in, verdict_in, without_head

ROOMS = ("the organ", "the attic", "the organ loft", "under the stairs")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("A. the organ", "the organ"),
        ("the organ", "the organ"),
        ("**B**", "the attic"),
        ("(b)", "the attic"),
        ("B) The attic.\nBecause it says so.", "the attic"),
        ("Answer: D", "under the stairs"),
        ("The correct answer is: C. the organ loft [kqz1]", "the organ loft"),
        ("The organ loft, as part two tells.", "the organ loft"),
        ("\n\nthe attic [kqz3]\nwhy", "the attic"),
        ("A letter was found in the attic.", None),
        ("It stood in the attic.", None),
        ("E", None),
        ("A. the attic", None),
        ("", None),
    ],
)
def test_choices(text: str, chosen: str | None):
    found = choice_in(text, ROOMS)
    assert found.chosen == chosen and found.outcome == ("chosen" if chosen else "not judged")


@pytest.mark.parametrize(
    ("text", "chosen"), [("Yes.", "yes"), ("No, it does not.", "no"), ("yes", "yes"), ("Nobody.", None)]
)
def test_yes_or_no(text: str, chosen: str | None):
    assert choice_in(text, ("yes", "no")).chosen == chosen


def test_letters_as_options_and_what_is_not_stated():
    assert choice_in("B", ("A", "B", "C")).chosen == "B"
    assert choice_in("A letter", ("A", "B", "C")).chosen is None
    assert choice_in("Not stated. The notes do not decide it.", ROOMS).outcome == "not stated"


def test_verdicts():
    assert verdict_in("Verdict: NOT_FOUND") == "not found" and verdict_in("NOT JUDGED\nx") == "not judged"
    assert verdict_in("supportedly") is None
    assert without_head("SUPPORTED\n\nIt says so.") == "It says so." and without_head("SUPPORTED") == "SUPPORTED"
