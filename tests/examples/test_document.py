import json
from pathlib import Path

import pytest

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"
LOG = (DOCUMENTS / "lighthouse_log.txt").read_text()
QUESTIONS = json.loads((DOCUMENTS / "questions.json").read_text())


def test_the_log_is_long_and_its_questions_are_many():
    assert len(LOG.split()) >= 10_000
    assert len(QUESTIONS) >= 15
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question["id"])
def test_every_piece_of_evidence_stands_in_the_log(question: dict):
    assert bool(question["evidence"]) != (question["kind"] == "absent")
    assert all(evidence in LOG for evidence in question["evidence"])


def test_several_questions_need_facts_far_apart():
    def distance(question: dict) -> int:
        places = [LOG.index(evidence) for evidence in question["evidence"]]
        return len(LOG[min(places) : max(places)].split())

    assert sum(distance(question) >= 4000 for question in QUESTIONS if len(question["evidence"]) > 1) >= 3
