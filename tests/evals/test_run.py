"""A benchmark run, from end to end: kept texts, failures, limits, predictions, the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coa.config import Settings
from coa.errors import CoaError, LimitReached, RefusedReply, UsageError
from coa.evals.run import evaluate
from coa.serving.base import Request
from coa.testing import FaultServer, ScriptedModel
from coa.testing.writers import biased_writer


def needles(folder: Path, count: int = 4) -> Path:
    path = folder / "needles.jsonl"
    text = "The sea was calm. " * 20
    rows = [
        {
            "index": n,
            "input": f"{text}\nThe key of box{n} is gold{n}.\nWhat is the key of box{n}?",
            "outputs": [f"gold{n}"],
            "length": 99,
        }
        for n in range(count)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


SETTINGS = Settings.model_validate({"journal": False})


def reply(request: Request) -> str | CoaError:
    question = str(request.inputs["query"])
    number = question.removeprefix("What is the key of box").removesuffix("?")
    if number == "2":
        return RefusedReply("no")
    return f"It is gold{number}." if number != "3" else "I do not know of any key."


async def test_items_are_scored_failures_count_as_zero_and_nothing_is_made_twice(tmp_path: Path):
    data, results = needles(tmp_path), tmp_path / "results.jsonl"
    model = ScriptedModel(reply)
    report = await evaluate("niah", data, SETTINGS, results=results, model=model)
    assert report.scores == {"recall": 0.5} and report.items == 4
    assert report.failed == ("needles-2/2",) and report.kept == 0 and report.calls == 6
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["status"] for line in lines] == ["complete", "complete", "failed", "complete"]
    results.write_text(results.read_text() + '{"key": "cut o')
    before = len(model.requests)
    again = await evaluate("niah", data, SETTINGS, results=results, model=model)
    assert again.kept == 3 and again.scores == report.scores
    assert {request.inputs["query"] for request in model.requests[before:]} == {"What is the key of box2?"}
    other = await evaluate("niah", data, SETTINGS.model_copy(update={"order": "rtl"}), results=results, model=model)
    assert other.kept == 0


async def test_a_limit_stops_all_items_together_and_what_is_done_stays(tmp_path: Path):
    data, results = needles(tmp_path), tmp_path / "results.jsonl"
    limited = SETTINGS.model_copy(update={"max_calls": 3})
    with pytest.raises(LimitReached):
        await evaluate("niah", data, limited, results=results, model=ScriptedModel(reply))
    assert len(results.read_text().splitlines()) == 1


async def test_a_server_and_a_text_that_cannot_be_written(tmp_path: Path):
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps({"prompt": "A note on tides.", "type": "t", "length": 100}))
    with FaultServer("Known: gold1.") as server:
        settings = Settings.model_validate({"model": "openai:any", "base_url": server.base_url, "journal": False})
        report = await evaluate("niah", needles(tmp_path, 2), settings)
        assert report.scores == {"recall": 0.5} and report.calls == server.hits == 4
        failed = await evaluate("longbench-write", path, settings)
    assert failed.scores == {"S_l": 0.0} and failed.failed == ("w-0",)


async def test_texts_are_written_to_length(tmp_path: Path):
    path = tmp_path / "w.jsonl"
    path.write_text(json.dumps({"prompt": "A note on tides.", "type": "t", "length": 600}))
    report = await evaluate("longbench-write", path, SETTINGS, model=biased_writer())
    assert report.items == 1 and not report.failed and report.scores["S_l"] > 80


async def test_meetings_offline(tmp_path: Path):
    turns = [{"speaker": "AB"[n % 2], "content": f"Sentence {n} is about the lamp on the pier."} for n in range(8)]
    meeting = {
        "meeting_transcripts": turns,
        "general_query_list": [],
        "specific_query_list": [
            {"query": "What is about the lamp?", "answer": "Sentence 1 is about the lamp on the pier."}
        ],
    }
    (tmp_path / "m.json").write_text(json.dumps(meeting))
    report = await evaluate("qmsum", tmp_path, SETTINGS)
    assert report.setup.startswith("offline") and report.scores["rouge1"] > 0.1


PLACE = "harbour/master.py"


def unfinished(root: Path) -> tuple[dict[str, object], dict[str, object]]:
    """A line to be written in a repository of our own, as RepoBench and as LongBench put it."""
    repo = root / "examples" / "repository"
    rows = (repo / PLACE).read_text().split("\n")
    at = rows.index("        self._quay.assign_berth(ship, berth)")
    others = [path for path in sorted(repo.rglob("*.py")) if path.name != "master.py"]
    named = [{"identifier": "", "path": str(p.relative_to(repo)), "snippet": p.read_text()} for p in others]
    one = {
        "file_path": PLACE,
        "context": [*named, {"identifier": "", "path": PLACE, "snippet": "the file itself"}],
        "import_statement": "\n".join(rows[:6]),
        "cropped_code": "\n".join(rows[6:at]) + "\n",
        "next_line": rows[at],
    }
    context = "".join(f"\n# Path: {each['path']}\n{each['snippet']}" for each in named)
    other = {"context": context, "input": "\n".join(rows[:at]) + "\n", "answers": [rows[at]], "language": "python"}
    return one, other


async def test_the_next_line_of_a_repository(root: Path, tmp_path: Path):
    data = tmp_path / "code.jsonl"
    data.write_text("\n".join(map(json.dumps, unfinished(root))))

    def reply(request: Request) -> str:
        if request.role == "worker":
            return "[[class Quay:]]"
        assert "assign_berth(ship, berth)" not in request.inputs["query"]
        return "self._quay.assign_berth(ship, 3)"

    model = ScriptedModel(reply)
    report = await evaluate("repobench", data, SETTINGS, model=model)
    assert report.items == 2 and not report.failed and report.main == "code_sim"
    assert report.scores["exact"] == 0.0 and 0.8 < report.scores["edit"] == report.scores["code_sim"] < 1.0
    read = {request.inputs["passage"].text for request in model.requests if request.role == "worker"}
    assert any("class Quay:" in text for text in read) and not any("the file itself" in text for text in read)
    said = tmp_path / "said.jsonl"
    gold = unfinished(root)[0]["next_line"]
    said.write_text("\n".join(json.dumps({"key": f"code-{n}", "text": gold}) for n in range(2)))
    perfect = await evaluate("repobench", data, SETTINGS, predictions=said)
    assert set(perfect.scores.values()) == {1.0} and perfect.calls == 0


@pytest.mark.parametrize("path", ["../up.py", "/etc/up.py", "a/../../up.py", "", "a\\b.py"])
async def test_a_path_that_leaves_the_repository_is_refused(path: str, root: Path, tmp_path: Path):
    one, _ = unfinished(root)
    (tmp_path / "code.json").write_text(json.dumps({**one, "file_path": path}))
    with pytest.raises(UsageError):
        await evaluate("repobench", tmp_path / "code.json", SETTINGS, model=ScriptedModel([]))


def test_predictions_by_the_command(tmp_path: Path):
    from typer.testing import CliRunner

    from coa.cli.main import app

    data, said = needles(tmp_path, 2), tmp_path / "said.jsonl"
    said.write_text("\n".join(json.dumps({"key": f"needles-{n}/{n}", "text": f"gold{n * 7}"}) for n in range(2)))
    command = ["eval", "niah", "--data", str(data), "--predictions", str(said)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0 and shown.stdout.startswith("recall      0.5000 *\nitems       2, 0 failed")
    assert json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)["scores"] == {"recall": 0.5}
    said.write_text(json.dumps({"key": "other", "text": ""}))
    assert isinstance(CliRunner().invoke(app, command).exception, UsageError)


@pytest.mark.parametrize("content", ["[1]", "{}", "not json", '[{"input": 3}]', ""])
async def test_files_of_another_form(content: str, tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text(content)
    for name in ("niah", "qmsum", "summhay", "longproc-path", "longbench-write", "repobench"):
        with pytest.raises(CoaError):
            await evaluate(name, path, SETTINGS)
    with pytest.raises(UsageError):
        await evaluate("unheard-of", path, SETTINGS)
