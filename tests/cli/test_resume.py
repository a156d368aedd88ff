"""`coa resume` gives a command again that made several runs, or that did more with a run than the run knows."""

from __future__ import annotations

import json
import os
from contextlib import chdir
from pathlib import Path

import pytest

TEXT = "The keeper rowed out at dawn. The boat is green. The lamp was lit at nine. " * 40


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_text(TEXT)
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps({"question": f"Is {n} green?"}) for n in range(2)))
    return tmp_path


def runs_of(coa) -> list[str]:
    return [json.loads(line)["run_id"] for line in coa("runs", "--json").out.splitlines()]


def test_options_given_with_resume_come_after_the_commands_own(coa, files: Path):
    asked = coa("ask", str(files / "book.txt"), "--questions", str(files / "q.jsonl"), "--window", "1300", "-q")
    assert asked.code == 0
    first, second = runs_of(coa)
    assert coa("resume", first, "-q").out == asked.out
    lines = coa("resume", second, "-q", "--json", "-o", str(files / "out.jsonl"))
    assert lines.out == "" and len((files / "out.jsonl").read_text().splitlines()) == 2
    assert coa("resume", first, "--concurrency", "0").code == 2


def test_a_file_that_has_changed_is_named(coa, files: Path):
    coa("ask", str(files / "book.txt"), "--questions", str(files / "q.jsonl"), "-q")
    (run, _), asked = runs_of(coa), (files / "q.jsonl").read_text()
    for name, text in (("q.jsonl", asked + " "), ("book.txt", TEXT + " ")):
        (files / name).write_text(text)
        ended = coa("resume", run)
        assert (ended.code, ended.out) == (5, "")
        assert name in ended.err and "is not what it was" in ended.err
        (files / "q.jsonl").write_text(asked)


@pytest.mark.slow
def test_a_folder_whose_files_have_changed_is_noticed(coa, files: Path):
    (files / "more").mkdir()
    (files / "more" / "a.txt").write_text(TEXT)
    coa("verify", str(files / "more"), "The boat is green.", "The boat is red.", "-q")
    (files / "more" / "a.txt").write_text("All is new.")
    assert coa("resume", runs_of(coa)[0]).code == 5


def test_where_it_was_given_and_what_was_set_there_count(coa, files: Path):
    with chdir(files):
        asked = coa("ask", "-", "--questions", "q.jsonl", "-q", stdin=TEXT.encode(), COA_WINDOW="1300", COA_ORDER="rtl")
    assert asked.code == 0
    again = coa("resume", runs_of(coa)[0], "-q", "--json")
    assert again.code == 0
    rows = [json.loads(line)["answer"] for line in again.out.splitlines()]
    assert [row["usage"]["calls"] for row in rows] == [0, 0]
    assert all(row["usage"]["calls_from_journal"] > 1 for row in rows)


@pytest.mark.slow
def test_a_plain_command_over_the_same_run_is_resumed_as_a_plain_one(coa, files: Path):
    plain = ("ask", str(files / "book.txt"), "What colour is the boat?", "-q")
    traced = coa(*plain, "--trace")
    (run,) = [run for run in runs_of(coa) if run.startswith("ask-")]
    assert coa("resume", run, "-q").out == traced.out
    shown = coa(*plain)
    assert coa("resume", run, "-q").out == shown.out != traced.out


@pytest.mark.slow
def test_what_is_left_of_a_command_may_be_gone_or_damaged(coa, files: Path):
    folder = files / "gone"
    folder.mkdir()
    with chdir(folder):
        coa("verify", str(files / "book.txt"), "The boat is green.", "-q")
    folder.rmdir()
    (run,) = runs_of(coa)
    ended = coa("resume", run)
    assert ended.code == 2 and "is gone" in ended.err
    (files / "runs" / run / "command.json").write_text("{")
    assert coa("resume", run).code == 5


def test_a_file_whose_name_is_no_text_is_read_resumed_and_shown(coa, tmp_path: Path):
    """Names in an old encoding: the system hands their bytes on as lone surrogates."""
    name = os.fsdecode(b"caf\xe9.txt")
    try:
        (tmp_path / name).write_text("The lamp is green tonight. The sea is calm.")
    except OSError:
        pytest.skip("the file system takes no such names")
    asked = coa("ask", str(tmp_path / name), os.fsdecode(b"What colour is the lamp, caf\xe9?"), "--json", "-q")
    assert asked.code == 0
    found = asked.json()
    assert "green" in found["text"]
    assert coa("resume", found["run_id"], "--json", "-q").json()["text"] == found["text"]
    assert "sources" in coa("show", found["run_id"]).out
    assert json.loads(coa("runs", "--json").out)["status"] == "complete"
