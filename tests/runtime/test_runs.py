"""Runs and when they were: a clock that jumps, and a run that is taken up with another model."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import coa
from coa.errors import UsageError
from coa.runtime.runs import Runs
from coa.serving.base import Request
from coa.testing import ScriptedModel

TEXT = "The keeper rowed out at dawn. The boat is green. " * 120


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


def model(name: str = "scripted:one") -> ScriptedModel:
    def say(request: Request) -> str:
        return f"Notes of {len(request.messages[-1].content)} characters."

    return ScriptedModel(say, window=1250, name=name)


@pytest.mark.parametrize("hours", [-1, 1, 24 * 365])
def test_a_clock_that_jumps_changes_nothing(book: Path, tmp_path: Path, hours: int):
    """The run says that it began at another time than the clock shows now."""
    runs = Runs(tmp_path / "runs")
    first = coa.ask(book, "What colour?", model=model(), run_dir=tmp_path / "runs")
    path = runs.folder(runs.get(first.run_id)) / "manifest.json"
    manifest = json.loads(path.read_text())
    moved = datetime.fromisoformat(manifest["created"]) + timedelta(hours=hours)
    path.write_text(json.dumps(manifest | {"created": moved.isoformat()}))
    again = coa.ask(book, "What colour?", model=model(), run_dir=tmp_path / "runs")
    assert (again.run_id, again.text, again.usage.calls) == (first.run_id, first.text, 0)
    (kept,) = runs.list()
    assert kept.created == moved and again.usage.seconds >= 0
    with runs.journal(kept) as journal:
        entries = list(journal.entries())
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1].record.role == "manager"


def test_a_run_is_for_its_owner_alone(book: Path, tmp_path: Path):
    answer = coa.ask(book, "What colour?", model=model(), run_dir=tmp_path / "runs")
    folder = tmp_path / "runs" / answer.run_id
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir()} == dict.fromkeys(
        (path.name for path in folder.iterdir()), 0
    )


def test_another_model_is_refused_on_resume(book: Path, tmp_path: Path):
    answer = coa.ask(book, "What colour is the boat?", model="offline", run_dir=tmp_path / "runs")
    with pytest.raises(UsageError, match="was begun with the model 'offline'"):
        coa.resume(answer.run_id, model="scripted:echo", run_dir=tmp_path / "runs")
    assert coa.resume(answer.run_id, run_dir=tmp_path / "runs").text == answer.text


def test_a_model_that_is_an_object_is_given_again(book: Path, tmp_path: Path):
    answer = coa.ask(book, "What colour is the boat?", model=model(), run_dir=tmp_path / "runs")
    again = coa.resume(answer.run_id, model=model(), run_dir=tmp_path / "runs")
    assert (again.text, again.usage.calls) == (answer.text, 0)
    with pytest.raises(UsageError, match="was begun with the model 'scripted:one'"):
        coa.resume(answer.run_id, model=model("scripted:two"), run_dir=tmp_path / "runs")
