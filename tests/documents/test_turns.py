"""Transcripts are read, turns are found, chunks do not cut a turn when they need not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coa.documents import Document, load
from coa.documents.turns import read_transcript, turns_in
from coa.split import split_at
from coa.tokens import EstimateCounter

TALK = (
    "Project Manager: Shall we begin with the remote control?\n"
    "Designer: I have brought two drawings of it.\n"
    "Project Manager: Show us the first one, please.\n"
    "Designer: It has a wheel in the place of the buttons, and it is yellow.\n"
)


def test_turns_and_who_is_interrupted():
    document = Document(id="t", path="t", text=TALK, sha256="")
    assert [turn.speaker for turn in document.turns] == ["Project Manager", "Designer"] * 2
    second = TALK.index("Designer")
    assert document.interrupted(second) is None and document.interrupted(second + 20) == "Designer"
    assert document.interrupted(0) is None


@pytest.mark.parametrize(
    "text",
    [
        "Once upon a time there was a keeper. He said: come in. Nobody came.\n" * 5,
        "Ship: Heron\nCargo: salt\nShip: Anna\nCargo: tar\n" * 3,
        "Note: this is the only one who ever speaks in this text\n" * 6,
        "",
    ],
)
def test_what_is_no_conversation(text: str):
    assert turns_in(text) == ()


def test_transcripts_as_json(tmp_path: Path):
    qmsum = {
        "meeting_transcripts": [
            {"speaker": "PhD A", "content": "So it is\nin the log."},
            {"speaker": "B", "content": " "},
        ]
    }
    path = tmp_path / "m.json"
    path.write_text(json.dumps(qmsum))
    assert load(path).text == "PhD A: So it is in the log.\n"
    turns = [{"role": "user", "content": "Hello there."}, {"role": "assistant", "content": "Good evening."}]
    assert read_transcript(json.dumps(turns)) == "user: Hello there.\nassistant: Good evening.\n"
    for other in ('{"a": 1}', "[1, 2]", "[]", '{"turns": [{"speaker": 3}]}', "no json", "[" * 5000):
        assert read_transcript(other) is None
    (tmp_path / "config.json").write_text('{"a": 1}')
    assert load(tmp_path / "config.json").text == '{"a": 1}'


def test_subtitles_keep_their_speakers(tmp_path: Path):
    path = tmp_path / "s.vtt"
    path.write_text("WEBVTT\n\n00:00:01.000 --> 00:00:03.000\n<v Ada Finch>Who is there?</v>\n")
    assert load(path).text == "[00:00:01] Ada Finch: Who is there?\n"


@pytest.mark.parametrize("budget", [30, 60, 200])
def test_no_turn_is_cut_that_fits(budget: int):
    counter = EstimateCounter()
    document = Document(id="t", path="t", text=TALK * 20, sha256="")
    starts = {turn.start for turn in document.turns}
    chunks = split_at(document, sorted(starts), budget, counter)
    assert "".join(document.read(chunk.span) for chunk in chunks) == document.text
    assert all(chunk.tokens <= budget for chunk in chunks) and len(chunks) > 1
    assert all(chunk.span.start in starts for chunk in chunks)


def test_a_turn_that_is_too_long_is_cut_and_named():
    counter = EstimateCounter()
    long = "Ada: " + "and then it rained for a week. " * 60 + "\n"
    document = Document(id="t", path="t", text=TALK + long + TALK, sha256="")
    chunks = split_at(document, [turn.start for turn in document.turns], 80, counter)
    assert "".join(document.read(chunk.span) for chunk in chunks) == document.text
    assert all(chunk.tokens <= 80 for chunk in chunks)
    assert {document.interrupted(chunk.span.start) for chunk in chunks} == {None, "Ada"}


def test_real_meetings(shared_data: Path):
    paths = sorted((shared_data / "qmsum" / "train").glob("*.json"))[:10]
    for path in paths:
        document = load(path)
        said = json.loads(path.read_text())["meeting_transcripts"]
        assert len(document.turns) > 0.9 * len([turn for turn in said if turn["content"].strip()])
