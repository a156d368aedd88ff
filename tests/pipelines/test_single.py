"""One call when everything fits, the topology that is chosen, and claims that are verified."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.cli.main import app
from coa.errors import ContextOverflow, UsageError, WindowTooSmall
from coa.serving.base import Request
from coa.testing import ScriptedModel

BOOK = "The treasurer hid the ledger beneath the organ. The ferry left at six. Nobody came home."
LOG = Path(__file__).parents[2] / "examples/documents/lighthouse_log.txt"


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(BOOK, "utf-8")
    return path


async def test_one_call_reads_everything_and_its_quotes_are_verified(book: Path):
    said = "Beneath the organ [[hid the ledger beneath the organ]] and in Rome [[in the Vatican]]."
    model = ScriptedModel({"reader": [said]})
    answer = await coa.aio.ask(book, "Where is it?", model=model, topology="single", journal=False)
    assert answer.text == "Beneath the organ [1] and in Rome." and answer.coverage.complete
    assert [citation.quote for citation in answer.citations] == ["hid the ledger beneath the organ"]
    assert len(model.requests) == 1 and any("not in the text" in warning for warning in answer.warnings)


async def test_what_does_not_fit_is_refused_before_anything_is_sent(tmp_path: Path):
    model = ScriptedModel([], window=2048)
    with pytest.raises(WindowTooSmall, match="do not fit"):
        await coa.aio.ask(LOG, "Who?", model=model, topology="single", journal=False)
    two = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for path in two:
        path.write_text("One sentence.", "utf-8")
    with pytest.raises(WindowTooSmall):
        await coa.aio.ask(two, "Who?", model=model, topology="single", journal=False)
    assert model.requests == []


async def test_a_server_that_takes_less_gets_the_chain(book: Path):
    def reply(request: Request):
        if request.role == "reader":
            return ContextOverflow("too long", limit=700, actual=900)
        return "It is beneath the organ [[beneath the organ]]." if request.role == "worker" else "Beneath the organ."

    model = ScriptedModel(reply)
    answer = await coa.aio.ask(book, "Where?", model=model, topology="single", journal=False)
    assert answer.text == "Beneath the organ." and answer.coverage.complete


@pytest.mark.parametrize(
    ("window", "options", "topology", "reason"),
    [
        (65_536, {}, "single", "fits into one prompt"),
        (2_048, {}, "chain", "may have to do with each other"),
        (2_048, {"deadline": 2.0}, "tree", "one after the other would take"),
    ],
)
async def test_auto_chooses_and_says_why(window: int, options: dict, topology: str, reason: str):
    model = ScriptedModel([], window=window)
    plan = await coa.aio.plan(LOG, "Who keeps the light?", model=model, window=window, topology="auto", **options)
    assert plan.topology == topology and any(reason in warning for warning in plan.warnings)
    names = [other.topology for other in plan.alternatives]
    assert names[:3] == ["chain", "tree", "map-then-chain"]
    assert ("single" in names) is (topology == "single")
    chain, tree = plan.alternatives[:2]
    assert (chain.calls, chain.serial_calls) == (plan.chunks + 1,) * 2 and tree.serial_calls < max(
        4, chain.serial_calls
    )


async def test_auto_runs_offline_and_resumes_as_what_it_chose(tmp_path: Path):
    given = {"model": "offline", "run_dir": tmp_path / "runs"}
    answer = await coa.aio.ask(LOG, "Who keeps the light on Gull Stack?", topology="auto", **given)
    assert "Martha Quill" in answer.text and answer.citations
    again = await coa.aio.resume(answer.run_id, run_dir=tmp_path / "runs")
    assert again.text == answer.text and again.usage.calls == 0


async def test_offline_single_and_chain_find_the_same_sentence():
    question, given = "Who keeps the light on Gull Stack?", {"model": "offline", "window": 65_536, "journal": False}
    for name in ("single", "chain"):
        answer = await coa.aio.ask(LOG, question, topology=name, **given)
        assert answer.text.startswith("The keeper on Gull Stack is Martha Quill")


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("SUPPORTED\nIt says so [[beneath the organ]].", "supported"),
        ("**Verdict:** contradicted. It left at six [[The ferry left at six]].", "contradicted"),
        ("NOT FOUND\nNothing is said of it.", "not found"),
        ("NOT_FOUND", "not found"),
        ("SUPPORTED\nI am sure of it [[words that are not there]].", "not found"),
        ("It may well be so.", "not judged"),
    ],
)
@pytest.mark.parametrize("topology", ["single", "chain"])
async def test_claims_get_a_verdict_that_needs_evidence(said: str, verdict: str, topology: str, book: Path):
    def reply(request: Request) -> str:
        if request.role == "worker":
            return said
        if request.role == "reader":
            return said
        return request.inputs["notes"].text or "NO NOTES"

    model = ScriptedModel(reply)
    (found,) = await coa.aio.verify(book, "The ledger is there.", model=model, topology=topology, journal=False)
    assert found.verdict == verdict
    for citation in found.answer.citations:
        assert citation.quote in BOOK


def test_the_command_verifies_claims(book: Path, tmp_path: Path):
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"worker": ["It is [[beneath the organ]]."], "manager": ["NOT FOUND\nNo."]}), "utf-8")
    runner = CliRunner()
    common = ["--run-dir", str(tmp_path / "runs"), "--json", "--quiet"]
    done = runner.invoke(app, ["verify", str(book), "It rained.", "--model", f"scripted:{script}", *common])
    assert done.exit_code == 0, done.output
    (claim,) = json.loads(done.stdout)["claims"]
    assert claim["claim"] == "It rained." and claim["verdict"] == "not found" and claim["answer"]["run_id"]
    shown = runner.invoke(
        app, ["verify", str(book), "The ferry left at six.", "It rained.", "--model", "offline", "-q"]
    )
    assert shown.stdout.count("NOT JUDGED") == 2 and "The ferry left at six." in shown.stdout
    assert isinstance(runner.invoke(app, ["verify", str(book)]).exception, UsageError)
