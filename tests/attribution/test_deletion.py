"""The deletion curve of a whole chain: run again without the best sentences, scored end to end, within its budget."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.attribution.page import trace_to_html
from coa.attribution.report import trace_to_dict
from coa.attribution.run import trace_run
from coa.attribution.terminal import trace_to_text
from coa.attribution.trace import TraceOptions, trace
from coa.cli.main import app
from coa.config import Settings
from coa.errors import UsageError
from coa.events import Event, Warned
from tests.attribution.conftest import EchoServer

QUESTION = "Where did the treasurer hide the ledger of zinc?"
TRUE = "The treasurer Odalys Brandt hid the ledger beneath the organ."


@pytest.fixture
def book(tmp_path: Path) -> Path:
    lines = [f"On day {i} the ferry crossed the sound with {i + 3} crates and nobody aboard." for i in range(190)]
    lines.insert(100, TRUE)
    path = tmp_path / "book.txt"
    path.write_text("\n".join(lines), "utf-8")
    return path


async def asked(book: Path, given: Settings) -> str:
    return (await coa.aio.ask(book, QUESTION, **given.model_dump(exclude_unset=True))).run_id


@pytest.mark.slow
async def test_the_answer_is_less_likely_once_its_sentence_left_the_documents(
    book: Path, given: Settings, server: EchoServer
):
    run, told = await asked(book, given), list[Event]()
    sent = len(server.asked)
    done = await trace_run(run, given, TraceOptions(deletion=3), emit=told.append)
    curve = done.trace.deletion
    assert curve is not None and curve.complete and done.trace.forensics is None
    assert done.trace.segments[curve.points[0].segment].text == TRUE
    assert curve.points[0].value < curve.whole - 3 and curve.points[0].kept < 1
    assert "organ" not in curve.points[0].answer
    again = server.asked[sent:]
    assert again and all(TRUE not in each["messages"][-1]["content"] for each in again)
    (warned,) = [each.message for each in told if isinstance(each, Warned)]
    assert warned.startswith("deletion curve") and f"{curve.calls} calls" in warned
    plain = await trace_run(run, given)
    spent = done.trace.search.calls - plain.trace.search.calls
    assert 0 < spent <= curve.calls
    data = trace_to_dict(done.trace, done.documents)
    assert data["deletion"]["points"][0]["quote"] == TRUE
    assert json.loads(json.dumps(data))["deletion"]["complete"] is True
    assert "the chain run again without" in trace_to_text(done.trace, done.documents)
    assert "The chain run again" in trace_to_html(done.trace, done.documents)
    assert "The chain run again" not in trace_to_html(plain.trace, plain.documents)


@pytest.mark.slow
async def test_what_does_not_fit_in_the_budget_is_not_begun(book: Path, given: Settings, server: EchoServer):
    run = await asked(book, given)
    plain = await trace_run(run, given)
    tight = given.model_copy(update={"max_calls": plain.trace.search.calls + 1})
    sent = len(server.asked)
    done = await trace_run(run, tight, TraceOptions(deletion=1))
    curve = done.trace.deletion
    assert curve is not None and not curve.complete and curve.points == () and len(server.asked) == sent
    assert done.trace.search.calls <= plain.trace.search.calls + 1
    assert "the budget holds no more" in trace_to_text(done.trace, done.documents)
    assert "The budget holds no more" in trace_to_html(done.trace, done.documents)


async def test_without_a_chain_the_curve_is_refused(book: Path, given: Settings, tmp_path: Path):
    with pytest.raises(UsageError, match="no chain"):
        await trace(QUESTION, TRUE, [coa.load(book)], given, TraceOptions(deletion=2))
    run = await asked(book, given)
    with pytest.raises(UsageError, match="no chain"):
        await trace_run(run, given, TraceOptions(deletion=2), direct=True)
    with pytest.raises(UsageError, match="fewer"):
        await trace_run(run, given, TraceOptions(deletion=-1))


async def test_without_a_language_model_there_is_no_curve(book: Path, tmp_path: Path):
    plain = Settings(run_dir=tmp_path / "runs", model="offline", window=2048, topology="chain")
    run = await asked(book, plain)
    with pytest.raises(UsageError, match="no chain"):
        await trace_run(run, plain, TraceOptions(deletion=1))


@pytest.mark.slow
def test_the_command_takes_it(book: Path, given: Settings, server: EchoServer):
    common = ["--run-dir", str(given.run_dir), "--json"]
    reached = ["--model", "vllm:tiny", "--base-url", server.url, "--window", "2048", "--topology", "chain"]
    run = json.loads(CliRunner().invoke(app, ["ask", str(book), QUESTION, *reached, *common]).stdout)
    done = CliRunner().invoke(app, ["trace", run["run_id"], "--deletion", "1", *common])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["deletion"]["points"]) == 1
