"""Many questions over one reading: the workers read for all of them, and each has an answer of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import coa
from coa import api
from coa.config import load_settings
from coa.errors import UsageError
from coa.questions import Question, batched
from coa.report import answer_from_json, answer_to_json
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel
from coa.types import Task

WINDOW = 2048
FACT = re.compile(r"FACT-\d+")
QUESTIONS = [Question(id=str(i), text=f"Where is FACT-{i}?") for i in range(5)]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = "The sea is grey and wide today. " * 60
    path.write_text("".join(f"FACT-{i} is planted here. {filler}\n\n" for i in range(10)))
    return path


def carrying(request: Request) -> Reply:
    """Workers carry what any of the questions asks for; the manager answers its own."""
    if request.role == "worker":
        wanted = FACT.findall(request.inputs["query"])
        new = [fact for fact in FACT.findall(request.inputs["passage"].text) if fact in wanted]
        text = request.inputs["notes"].text + "".join(f" {fact} [[{fact} is planted]]." for fact in new)
        return Reply(text=text or "NO NEW INFORMATION", finish="stop", model="m")
    if request.role == "merger":
        return Reply(text=request.inputs["notes"].text, finish="stop", model="m")
    (wanted,) = FACT.findall(request.inputs["query"])
    evidence = {item.quote.split()[0]: item.marker for item in request.inputs["notes"].evidence}
    return Reply(text=f"{wanted} is there [{evidence[wanted]}].", finish="stop", model="m")


async def ask(book: Path, task: Task, model: ScriptedModel, **options: object) -> coa.Answer:
    settings = load_settings(window=WINDOW, **options)
    return await api.run(task, [book], settings, model=model)


@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
async def test_one_reading_answers_all_with_their_own_citations(book: Path, topology: str) -> None:
    ((_, task),) = batched(QUESTIONS, 5, Task(kind="qa"))
    model = ScriptedModel(carrying, window=WINDOW)
    answer = await ask(book, task, model, topology=topology)
    text = coa.load(book).text
    assert [each.text for each in answer.batch] == [f"FACT-{i} is there [1]." for i in range(5)]
    for i, each in enumerate(answer.batch):
        (citation,) = each.citations
        assert citation.quote == f"FACT-{i} is planted" == text[citation.span.start : citation.span.end]
        assert each.coverage == answer.coverage
    readers = [request for request in model.requests if request.role == "worker"]
    assert len(readers) == answer.coverage.chunks
    assert sum(each.usage.calls for each in answer.batch) == answer.usage.calls == len(model.requests)
    settings = load_settings(window=WINDOW, topology=topology)
    assert len(model.requests) <= (await api.plan(task, [book], settings, model=model)).calls


async def test_the_same_batch_and_its_run_are_taken_up_for_nothing(book: Path) -> None:
    ((_, task),) = batched(QUESTIONS, 5, Task(kind="qa"))
    first = await ask(book, task, ScriptedModel(carrying, window=WINDOW))
    again = await ask(book, task, ScriptedModel([], window=WINDOW))
    assert again.usage.calls == 0
    resumed = await api.resume(first.run_id, load_settings(), model=ScriptedModel([], window=WINDOW))
    assert [each.text for each in resumed.batch] == [each.text for each in again.batch] == [e.text for e in first.batch]
    read = answer_from_json(answer_to_json(first))
    assert [each.citations for each in read.batch] == [each.citations for each in first.batch]


async def test_a_closed_question_among_open_ones_has_its_choice(book: Path) -> None:
    def reply(request: Request) -> Reply:
        closed = request.inputs.get("choices")
        said = ("no\nIt is not." if closed else "Open.") if request.role == "manager" else "Notes."
        return Reply(text=said, finish="stop", model="m")

    mixed = [Question(id="a", text="Which?"), Question(id="b", text="Is it?", choices=("yes", "no"))]
    ((_, task),) = batched(mixed, 2, Task(kind="qa"))
    answer = await ask(book, task, ScriptedModel(reply, window=WINDOW))
    one, other = answer.batch
    assert one.choice is None and other.choice is not None and other.choice.chosen == "no"


def test_groups_are_as_large_as_asked_and_a_group_of_one_is_a_plain_question() -> None:
    groups = batched(QUESTIONS, 2, Task(kind="qa", words=9))
    assert [len(group) for group, _ in groups] == [2, 2, 1]
    assert [len(task.batch) for _, task in groups] == [2, 2, 0]
    assert groups[2][1] == Task(kind="qa", words=9, query="Where is FACT-4?")
    with pytest.raises(UsageError):
        batched(QUESTIONS, 0, Task(kind="qa"))
    with pytest.raises(UsageError, match="follow-up"):
        batched(QUESTIONS, 2, Task(kind="qa", retrieve=500, rounds=1))


async def test_paths_and_votes_do_not_share_a_reading(book: Path) -> None:
    ((_, task),) = batched(QUESTIONS, 5, Task(kind="qa"))
    for options in ({"paths": "bidirectional"}, {"topology": "merge"}):
        with pytest.raises(UsageError, match="share a reading"):
            await ask(book, task, ScriptedModel([], window=WINDOW), **options)


def test_the_command_line_prints_a_line_for_each(book: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from coa.cli.main import app

    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps({"id": each.id, "question": each.text}) for each in QUESTIONS))
    with FaultServer("facts", max_context=WINDOW) as server:
        given = ["ask", str(book), "--questions", str(path), "--batch", "5", "--json", "-q", "--window", str(WINDOW)]
        app([*given, "--model", "openai:fake", "--base-url", server.base_url], standalone_mode=False)
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["id"] for row in rows] == [each.id for each in QUESTIONS]
    assert all(len(set(FACT.findall(row["answer"]["text"]))) == 10 for row in rows)
    chunks = rows[0]["answer"]["coverage"]["chunks"]
    assert server.hits == chunks + len(QUESTIONS) == sum(row["answer"]["usage"]["calls"] for row in rows)
    assert server.statuses == {200: server.hits}
