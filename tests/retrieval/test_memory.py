"""Long-term memory, and summaries that point back to what they are about."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

import coa
from coa.errors import UsageError
from coa.retrieval.index import Index
from coa.retrieval.memory import Memory, Turn
from coa.retrieval.summaries import Summaries, cited_part
from coa.types import Evidence, Notes, Span

LOG = Path(__file__).parents[2] / "examples" / "documents" / "lighthouse_log.txt"
FIRST = [
    Turn(speaker="Ann", text="My sister's name is Ottilie, and she breeds alpacas.", date="2024-03-01"),
    Turn(speaker="Bob", text="Alpacas spit when they are cross.", date="2024-03-01"),
]


def test_what_was_said_is_found_in_another_process_by_speaker_and_date(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory")
    memory.remember("monday", FIRST)
    memory.remember("monday", [Turn(speaker="Ann", text="Ottilie sold her alpacas.", date="2024-06-01")])
    memory.remember("tuesday", [Turn(speaker="Ann", text="The boiler is broken.", date="2024-06-02")])
    memory.close()
    again = Memory(tmp_path / "memory")
    assert {hit.fields["speaker"] for hit in again.recall("alpacas", 5)} == {"Ann", "Bob"}
    (late,) = again.recall("alpacas", 5, since="2024-05-01", until="2024-06-01")
    assert late.text == "Ann: Ottilie sold her alpacas."
    assert late.fields == {"speaker": "Ann", "date": "2024-06-01"}
    assert [hit.fields["speaker"] for hit in again.recall("alpacas", 5, speaker="Bob")] == ["Bob"]
    assert again.forget("monday")
    assert again.recall("alpacas", 5) == []
    again.close()


def test_answers_are_remembered(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "memory")
    question = "Who keeps the light on Gull Stack?"
    memory.keep("log", question, coa.ask(LOG, question, run_dir=tmp_path / "runs"), date(2024, 5, 1))
    assert any("Quill" in hit.text for hit in memory.recall("Martha Quill keeper", 3, speaker="coa"))
    memory.close()


@pytest.mark.parametrize(
    ("speaker", "text", "day"), [("", "x", "2024-01-01"), ("A", " ", "2024-01-01"), ("A", "x", "May")]
)
def test_turns_that_make_no_sense_are_refused(tmp_path: Path, speaker: str, text: str, day: str) -> None:
    memory = Memory(tmp_path / "memory")
    with pytest.raises(UsageError) as caught:
        memory.remember("c", [Turn(speaker=speaker, text=text, date=day)])
    assert caught.value.hint
    memory.close()


def test_notes_of_a_run_become_rows_that_point_back(tmp_path: Path) -> None:
    collected = Summaries()
    coa.ask(LOG, "Who keeps the light on Gull Stack?", window=2500, run_dir=tmp_path / "runs", on_event=collected)
    assert collected.found
    index = coa.index(LOG, tmp_path / "lib")
    before = len(index.find("Gull Stack light", 100, where={"kind": "text"}))
    assert index.add_summaries(collected.found) == len(collected.found)
    assert index.add_summaries(collected.found) == 0
    rows = index.find("Gull Stack light keeper", 100, where={"kind": "summary"})
    assert rows
    text = coa.load(LOG).text
    for row in rows:
        assert 0 <= row.span.start < row.span.end <= len(text)
        assert "[" not in row.text
    assert len(index.find("Gull Stack light", 100, where={"kind": "text"})) == before
    passages = index.context(rows[:1], 100_000).passages
    assert passages[0].text == text[rows[0].span.start : rows[0].span.end]
    index.close()


def test_a_summary_of_a_document_that_is_not_there_is_refused(tmp_path: Path) -> None:
    collected = Summaries()
    coa.ask(LOG, "Who keeps the light on Gull Stack?", run_dir=tmp_path / "runs", on_event=collected)
    index = Index.create(tmp_path / "lib")
    with pytest.raises(UsageError) as caught:
        index.add_summaries(collected.found)
    assert caught.value.hint
    index.close()


def test_only_sentences_with_a_quote_from_the_stretch_are_kept() -> None:
    here, there = Span(doc="d", start=10, end=20), Span(doc="d", start=900, end=910)
    notes = Notes(
        text="Ann left [aa1]. Bob stayed [aa2]. Nobody knows why.",
        evidence=(Evidence(marker="aa1", span=here, quote="x"), Evidence(marker="aa2", span=there, quote="y")),
    )
    assert cited_part(notes, Span(doc="d", start=0, end=100)) == "Ann left."
    assert cited_part(notes, Span(doc="e", start=0, end=100)) == ""
