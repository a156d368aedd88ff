"""Closed questions and pairs of claims, from end to end: scripted, offline, and against a server on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.errors import UsageError
from coa.serving.base import Request
from coa.testing import FaultServer, ScriptedModel

BOOK = "The treasurer hid the ledger beneath the organ. The ferry left at six. Nobody came home."
ROOMS = ("the attic", "the organ", "the quay")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(BOOK, "utf-8")
    return path


@pytest.mark.parametrize("topology", ["chain", "tree", "single"])
async def test_a_choice_is_typed_and_its_reason_cited(topology: str, book: Path):
    def reply(request: Request) -> str:
        if request.role == "manager":
            return "B. the organ\n" + request.inputs["notes"].text
        return ("B. the organ\n" if request.role == "reader" else "") + "It is [[beneath the organ]]."

    model = ScriptedModel(reply)
    answer = await coa.aio.ask(book, "Where is it?", choices=ROOMS, model=model, topology=topology, journal=False)
    assert answer.choice == coa.Choice(options=ROOMS, chosen="the organ", outcome="chosen")
    assert answer.citations[0].quote == "beneath the organ"
    assert answer.to_dict()["choice"]["chosen"] == "the organ"
    assert "A. the attic\nB. the organ\nC. the quay" in model.requests[-1].messages[-1].content


async def test_one_repair_turn_and_then_nothing_is_judged(book: Path):
    model = ScriptedModel({"worker": ["Notes."], "manager": ["It is hard to say.", "The organ."]})
    answer = await coa.aio.ask(book, "Where?", choices=ROOMS, model=model, journal=False)
    assert answer.choice is not None and answer.choice.chosen == "the organ"
    assert "one of the options" in model.requests[-1].messages[-1].content
    stubborn = ScriptedModel({"worker": ["Notes."], "manager": ["It is hard to say."] * 2})
    answer = await coa.aio.ask(book, "Where?", choices=ROOMS, model=stubborn, journal=False)
    assert answer.choice is not None and answer.choice.outcome == "not judged" and answer.text == "It is hard to say."
    unsaid = ScriptedModel({"worker": ["Notes."], "manager": ["NOT STATED\nNo word of it."]})
    answer = await coa.aio.ask(book, "Where?", choices=ROOMS, model=unsaid, journal=False)
    assert answer.choice is not None and answer.choice.outcome == "not stated"


async def test_offline_judges_nothing_and_is_not_asked_twice(book: Path):
    answer = await coa.aio.ask(book, "Did the ferry leave at six?", choices=("yes", "no"), model="offline")
    assert answer.choice is not None and answer.choice.outcome == "not judged"
    assert answer.usage.calls == 2 and "The ferry left at six." in answer.text
    again = await coa.aio.resume(answer.run_id)
    assert again.choice == answer.choice and again.usage.calls == 0
    other = await coa.aio.ask(book, "Did the ferry leave at six?", model="offline")
    assert other.run_id != answer.run_id and other.choice is None and "choice" not in other.to_dict()


async def test_choices_that_are_none(book: Path):
    for bad in (("yes",), ("yes", "Yes "), ("yes", ""), tuple(map(str, range(27)))):
        with pytest.raises(UsageError):
            await coa.aio.ask(book, "Where?", choices=bad, model="offline", journal=False)


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        ("SUPPORTED", "CONTRADICTED", "first"),
        ("NOT FOUND", "SUPPORTED", "second"),
        ("SUPPORTED", "SUPPORTED", "both"),
        ("NOT FOUND", "CONTRADICTED", "neither"),
        ("SUPPORTED", "Who knows.", "not judged"),
    ],
)
async def test_pairs_of_claims(first: str, second: str, outcome: str, book: Path):
    def reply(request: Request) -> str:
        if request.role == "worker":
            return "It left at six [[The ferry left at six]]."
        verdict = first if request.inputs["query"] == "It left at six." else second
        return f"{verdict}\n{request.inputs['notes'].text}"

    given = {"model": ScriptedModel(reply), "journal": False}
    pair = await coa.aio.verify_pair(book, "It left at six.", "It left at ten.", **given)
    assert pair.outcome == outcome and pair.consistent is (outcome in ("first", "second"))
    assert pair.to_dict()["pair"] == {"outcome": outcome, "consistent": pair.consistent}
    assert pair.first.answer.citations[0].quote == "The ferry left at six"


async def test_a_verdict_is_asked_for_again_once(book: Path):
    notes = "It left at six [[The ferry left at six]]."
    model = ScriptedModel({"reader": ["It may be.", f"SUPPORTED\n{notes}"]})
    (found,) = await coa.aio.verify(book, "It left at six.", model=model, topology="single", journal=False)
    assert found.verdict == "supported" and "SUPPORTED, CONTRADICTED" in model.requests[-1].messages[-1].content


def test_a_pair_against_a_server_by_the_command(book: Path, capsys: pytest.CaptureFixture[str]):
    from typer.testing import CliRunner

    from coa.cli.main import app

    def speak(prompt: str) -> str:
        if "NO NEW INFORMATION" in prompt:
            return "The ferry left at six [[The ferry left at six]]."
        tag = prompt.split("[")[1].split("]")[0]
        return f"{'SUPPORTED' if 'claim: It left at six' in prompt else 'CONTRADICTED'}\nSo it says [{tag}]."

    with FaultServer(speak) as server:
        runner = CliRunner()
        command = ["verify", str(book), "It left at six.", "It left at ten.", "--pair", "--model", "openai:any", "-q"]
        done = runner.invoke(app, [*command, "--base-url", server.base_url])
        planned = runner.invoke(app, [*command, "--base-url", server.base_url, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("SUPPORTED OF THE PAIR: first\n\nSUPPORTED: It left at six.\nSo it says [1].")
    assert "CONTRADICTED: It left at ten." in done.stdout and planned.stdout.count("calls ") == 2
    assert isinstance(runner.invoke(app, [*command[:3], "--pair"]).exception, UsageError)
    closed = ["ask", str(book), "When?", "--model", "offline", "-q", "--json"]
    asked = runner.invoke(app, [*closed, "--yes-no"])
    assert '"options": ["yes", "no"]' in asked.stdout
    assert (
        '"options": ["six", "ten, or later"]' in runner.invoke(app, [*closed, "--choices", "six|ten, or later"]).stdout
    )
