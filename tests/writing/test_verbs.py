"""The run directory of a text, and the verbs that look after it: plan, status, redo, resume, export, check."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coa import api
from coa.cli.main import app
from coa.config import Settings
from coa.errors import InputChanged, RunNotFound, UsageError
from coa.report import answer_from_json, answer_to_json
from coa.runtime.runs import Runs
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.writing.folder import Folder
from coa.writing.plan import Outline
from coa.writing.run import WriteOptions, redo, resume, write

BRIEF = "A guide to the sound."
LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"
RUNNER = CliRunner()


def settings(tmp_path: Path, **more) -> Settings:
    return Settings(run_dir=tmp_path / "runs", **more)


def folder_of(tmp_path: Path, run_id: str) -> Path:
    return tmp_path / "runs" / run_id


def bodies(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted((folder / "sections").glob("*.md"))}


async def test_the_run_directory_shows_request_plan_and_sections(tmp_path: Path):
    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000), model=biased_writer())
    folder = folder_of(tmp_path, answer.run_id)
    assert Folder(folder).request().brief == BRIEF
    outline = Outline.from_yaml(folder / "plan.yaml")
    parts = Folder(folder).parts()
    assert [part.id for part in parts] == [leaf.id for leaf in outline.leaves()]
    assert all(part.state == "done" and part.words > 0 for part in parts)
    for text in bodies(folder).values():
        assert text.strip() in answer.text


async def test_redo_writes_one_section_anew_and_nothing_else(tmp_path: Path):
    model = biased_writer()
    first = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000), model=model)
    folder = folder_of(tmp_path, first.run_id)
    before = bodies(folder)
    chosen = Folder(folder).parts()[3].id
    asked = len(model.requests)
    given = settings(tmp_path, model=model.name)
    second = await redo(first.run_id, [chosen], "Speak of the tides.", given, model=model)
    after = bodies(folder)
    assert {name for name in before if before[name] != after[name]} == {"0004.md"}
    fresh = [request for request in model.requests[asked:] if request.role == "writer"]
    assert fresh and all("Speak of the tides." in request.messages[-1].content for request in fresh)
    assert before["0004.md"].strip()[:60] in fresh[0].messages[-1].content
    assert second.run_id == first.run_id and second.text != first.text
    # The same command gives the text as it stands now, and asks nothing.
    again = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000), model=model)
    assert again.text == second.text and again.usage.calls == 0
    third = await redo(first.run_id, [chosen], "", given, model=model)
    assert third.text not in (first.text, second.text)


async def test_a_refused_section_can_be_redone(tmp_path: Path):
    inner, stubborn = biased_writer(), [True]

    async def reply(request: Request):
        if stubborn[0] and request.role == "writer" and "a refused tide" in request.messages[-1].content:
            return "I'm sorry, I cannot help with that."
        return await inner.complete(request)

    model = ScriptedModel(reply, window=100_000)
    sections = [{"id": str(i), "title": f"Part {i}", "words": 500} for i in range(1, 4)]
    sections[1]["goal"] = "a refused tide"
    outline = Outline.model_validate({"title": "T", "brief": BRIEF, "words": 1500, "sections": sections})
    options = WriteOptions(words=1500, outline=outline, edits=False)
    answer = await write(BRIEF, settings(tmp_path), options, model=model)
    assert answer.status == "partial"
    stubborn[0] = False
    mended = await redo(answer.run_id, ["2"], "", settings(tmp_path), model=model)
    assert mended.status == "complete" and "## Part 2" in mended.text


async def test_what_cannot_be_redone_is_said(tmp_path: Path):
    answer = await write(BRIEF, settings(tmp_path), WriteOptions(words=6_000), model=biased_writer())
    with pytest.raises(UsageError, match=r"no section '9\.9'"):
        await redo(answer.run_id, ["9.9"], "", settings(tmp_path), model=biased_writer())
    with pytest.raises(UsageError, match="no section '1'"):
        await redo(answer.run_id, ["1"], "", settings(tmp_path), model=biased_writer())
    (folder_of(tmp_path, answer.run_id) / "redo.json").write_text("{", "utf-8")
    with pytest.raises(RunNotFound, match="damaged"):
        await resume(answer.run_id, settings(tmp_path), model=biased_writer())


async def test_resume_takes_up_a_written_run_and_pays_nothing_twice(tmp_path: Path):
    first = await write(BRIEF, settings(tmp_path), WriteOptions(words=3_000), [LOG], model=biased_writer())
    model = biased_writer()
    again = await api.resume(first.run_id, settings(tmp_path), model=model)
    assert again.text == first.text and model.requests == [] and again.usage.calls_from_journal > 0


async def test_resume_refuses_another_source_and_another_model(tmp_path: Path):
    source = tmp_path / "log.txt"
    source.write_text(LOG.read_text("utf-8"), "utf-8")
    first = await write(BRIEF, settings(tmp_path), WriteOptions(words=1_000), [source], model=biased_writer())
    with pytest.raises(UsageError, match="was begun with"):
        await resume(first.run_id, settings(tmp_path, model="openai:other"))
    source.write_text("Something else altogether.", "utf-8")
    with pytest.raises(InputChanged):
        await resume(first.run_id, settings(tmp_path), model=biased_writer())


async def test_an_answer_survives_its_file(tmp_path: Path):
    answer = await write("The year", settings(tmp_path, model="offline"), WriteOptions(words=600), [LOG])
    assert answer_to_json(answer_from_json(answer_to_json(answer))) == answer_to_json(answer)
    with pytest.raises(RunNotFound, match="damaged"):
        answer_from_json("{}")


def invoke(*arguments: str, code: int = 0) -> str:
    done = RUNNER.invoke(app, list(arguments))
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout


def test_the_verbs_on_the_command_line(tmp_path: Path):
    where = ["--run-dir", str(tmp_path / "runs")]
    invoke("write", "The year", "--model", "offline", "--source", str(LOG), "--words", "800", "-q", *where)
    run_id = Runs(tmp_path / "runs").list()[0].run_id
    shown = invoke("write", "status", run_id, *where)
    assert "complete" in shown and "done" in shown
    listed = json.loads(invoke("write", "status", run_id[:12], "--json", *where))
    assert listed["run_id"] == run_id and all(part["state"] == "done" for part in listed["sections"])
    made = invoke("write", "export", run_id, "--format", "md,html", "-o", str(tmp_path / "year"), *where)
    assert made.splitlines() == [str(tmp_path / "year.md"), str(tmp_path / "year.html")]
    assert invoke("write", "check", str(tmp_path / "year.md")).endswith("ok\n")
    invoke("check", str(tmp_path / "year.md"), "--words", "9000", code=3)
    inside = invoke("write", "export", run_id, *where).strip()
    assert inside == str(tmp_path / "runs" / run_id / "out" / "text.md")
    redone = invoke("write", "redo", run_id, "1", "-q", *where)
    assert redone.startswith("# The year")
    resumed = invoke("resume", run_id, "-q", "-o", str(tmp_path / "again.html"), *where)
    assert resumed == "" and "<h2" in (tmp_path / "again.html").read_text("utf-8")


def test_the_price_by_stage_is_told_and_nothing_sent(tmp_path: Path):
    model = ["--model", "openai:gpt-5-mini", "--words", "20000"]
    for command in (["write", BRIEF, "--dry-run"], ["plan", "write", BRIEF]):
        shown = invoke(*command, *model, "--run-dir", str(tmp_path))
        for stage in ("plan", "write", "mend", "seams", "conflicts"):
            assert f"  {stage} " in shown
    without = invoke("write", BRIEF, "--dry-run", "--no-edits", *model)
    assert "seams" not in without
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["write"], 2),
        (["write", "x", "--model", "offline"], 2),
        (["write", "plan", "x", "--model", "offline"], 2),
        (["write", "x", "--outline", "nowhere.yaml"], 5),
        (["write", "x", "--must", "every: a clock"], 2),
        (["write", "x", "--series", "station:many:80"], 2),
        (["write", "x", "--series", "station:12:80", "--must", "sometimes: rain"], 2),
        (["write", "x", "--series", "station:12:80", "--must", "once 13: rain"], 2),
        (["write", "x", "--memory", "none", "--model", "openai:m"], 2),
        (["write", "x", "--source", "nowhere.txt", "--model", "offline"], 5),
        (["write", "status", "nothing"], 5),
        (["write", "redo", "nothing", "1"], 5),
        (["write", "export", "nothing", "--format", "doc"], 2),
        (["write", "@nowhere.txt", "--model", "offline"], 5),
        (["write", "check", "nowhere.md"], 5),
    ],
)
def test_nonsense_has_its_exit_code(arguments: list[str], code: int, tmp_path: Path):
    done = RUNNER.invoke(app, arguments, env={"COA_RUN_DIR": str(tmp_path)})
    found = getattr(done.exception, "exit_code", None) or done.exit_code
    assert found == code, done.output


def test_a_plan_is_made_edited_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "title: T\nbrief: The year on the rock\nwords: 600\nsections:\n"
        "- {id: '1', title: The light on Gull Stack, words: 300}\n"
        "- {id: '2', title: The Halcyon, words: 300}\n",
        "utf-8",
    )
    text = invoke(
        "write",
        "--outline",
        str(plan),
        "--model",
        "offline",
        "--source",
        str(LOG),
        "-q",
        "--run-dir",
        str(tmp_path / "r"),
    )
    assert "## The light on Gull Stack" in text and "## The Halcyon" in text
    plan.write_text(plan.read_text("utf-8").replace("words: 300}\n- {id: '2'", "words: 300}\n- {id: '1'"), "utf-8")
    done = RUNNER.invoke(app, ["write", "--outline", str(plan), "--model", "offline", "--source", str(LOG)])
    assert isinstance(done.exception, UsageError) and "plan.yaml:" in str(done.exception)
