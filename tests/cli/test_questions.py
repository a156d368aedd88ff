"""Many questions over one document, as a user types it, and the file that they stand in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coa.config import Settings
from coa.errors import CoaError, InputNotFound, UsageError
from coa.questions import left_after, read_questions
from coa.types import Usage

LOG = "examples/documents/lighthouse_log.txt"


def file_of(folder: Path, *lines: object) -> str:
    path = folder / "questions.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return str(path)


def test_each_question_has_its_answer_and_again_they_cost_nothing(coa, root: Path, tmp_path: Path) -> None:
    questions = file_of(
        tmp_path, {"id": "keeper", "question": "Who keeps the light on Gull Stack?"}, "", {"question": "Who is Bosun?"}
    )
    command = ("ask", str(root / LOG), "--questions", questions, "--json", "-q")
    ended = coa(*command)
    assert ended.code == 0
    first = [json.loads(line) for line in ended.out.splitlines()]
    assert [row["id"] for row in first] == ["keeper", "3"]
    assert "Martha Quill" in first[0]["answer"]["text"]
    assert first[0]["answer"]["usage"]["calls"] > 0
    again = [json.loads(line) for line in coa(*command).out.splitlines()]
    assert [row["answer"]["usage"]["calls"] for row in again] == [0, 0]
    assert [row["answer"]["text"] for row in again] == [row["answer"]["text"] for row in first]


def test_closed_questions_have_their_own_choices_or_those_of_all(coa, root: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"worker": ["Notes."], "manager": ["B\nSo the notes say."]}))  # Of each run.
    (tmp_path / "short.txt").write_text("The oil stands in the shed. Bosun is the dog.")
    asked = [{"question": "Where is it?", "choices": ["the quay", "the shed"]}]
    asked += [{"question": "Is Bosun the keeper?"}]
    command = ("ask", str(tmp_path / "short.txt"), "--questions", file_of(tmp_path, *asked), "--yes-no", "--json", "-q")
    ended = coa(*command, "--model", f"scripted:{script}")
    choices = [json.loads(line)["answer"]["choice"] for line in ended.out.splitlines()]
    assert [choice["chosen"] for choice in choices] == ["the shed", "no"]
    assert [choice["options"] for choice in choices] == [["the quay", "the shed"], ["yes", "no"]]


@pytest.mark.parametrize("choices", ["yes", [1], [["a"]], {"a": 1}, None])
def test_choices_that_are_no_list_of_texts_are_named(choices: object, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2"):
        read_questions(file_of(tmp_path, {"question": "a?"}, {"question": "b?", "choices": choices}))


def test_texts_for_people_name_their_question(coa, root: Path, tmp_path: Path) -> None:
    questions = file_of(tmp_path, {"id": "keeper", "question": "Who keeps the light on Gull Stack?"})
    ended = coa("ask", str(root / LOG), "--questions", questions, "-q")
    assert ended.out.startswith("keeper: Who keeps the light on Gull Stack?\n")
    assert "Martha Quill" in ended.out


def test_a_limit_holds_for_all_questions_together(coa, root: Path, tmp_path: Path) -> None:
    asked = [{"question": f"Who is Bosun, in the year {year}?"} for year in range(1900, 1904)]
    questions = file_of(tmp_path, *asked)
    alone = json.loads(coa("ask", str(root / LOG), asked[0]["question"], "--json", "-q", "--no-journal").out)
    most = str(alone["usage"]["calls"] + 1)
    ended = coa("ask", str(root / LOG), "--questions", questions, "-q", "--json", "--no-journal", "--max-calls", most)
    assert ended.code not in (0, 1)


@pytest.mark.parametrize(
    "line", ["{", "3", "[]", '{"id": "x"}', '{"question": 4}', '{"question": " "}', '{"question": "a", "id": []}']
)
def test_a_line_that_is_no_question_is_named(line: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2"):
        read_questions(file_of(tmp_path, {"question": "a?"}, line))


def test_files_without_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no question"):
        read_questions(file_of(tmp_path, "", " "))
    with pytest.raises(UsageError, match="twice"):
        read_questions(file_of(tmp_path, {"id": 1, "question": "a?"}, {"id": "1", "question": "b?"}))
    with pytest.raises(InputNotFound):
        read_questions(tmp_path / "nowhere.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CoaError):
        read_questions(tmp_path / "bytes")


def test_what_was_spent_is_taken_from_every_limit() -> None:
    settings = Settings.model_validate({"max_calls": 10, "max_tokens": 1000, "max_cost": 1.0})
    spent = Usage(calls=4, prompt_tokens=300, completion_tokens=100, cost_usd=0.25)
    left = left_after(settings, spent)
    assert (left.max_calls, left.max_tokens, left.max_cost) == (6, 600, 0.75)
    assert left_after(left, Usage(calls=9, prompt_tokens=900, cost_usd=2.0)).max_calls == 0
    assert left_after(Settings.model_validate({}), spent) == Settings.model_validate({})
