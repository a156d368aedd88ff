"""A trace is taken up by its id: of an answer with its sources, and of a run, through its agents or without them."""

from __future__ import annotations

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.attribution.trace import Trace, TraceOptions
from coa.errors import InputChanged, RunNotFound

FILLER = "On day {} the ferry crossed the sound with crates of nails and nobody aboard. "
FACT = "The treasurer Odalys Brandt hid the ledger beneath the organ. "
QUESTION = "Where did the treasurer hide the ledger?"
ANSWER = "Odalys Brandt hid it beneath the organ."


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "book.txt").write_text("".join(FILLER.format(n) + (FACT if n == 9 else "") for n in range(20)))
    return tmp_path / "book.txt"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.fixture
def given(server: Any) -> dict[str, Any]:
    return {"model": "vllm:tiny", "base_url": server.url, "window": 2048}


def paid(server: Any) -> int:
    return len(server.prompts) + len(server.asked)


async def taken_up(run: str, elsewhere: Path) -> Trace:
    with chdir(elsewhere):
        found = await coa.aio.resume(run)
    assert isinstance(found, Trace) and found.run_id == run
    return found


async def test_a_trace_of_an_answer_goes_on_from_anywhere(
    book: Path, elsewhere: Path, given: dict[str, Any], server: Any
):
    with chdir(book.parent):
        first = await coa.aio.trace("book.txt", QUESTION, ANSWER, how=TraceOptions(k=3, seed=7), **given)
    before = paid(server)
    found = await taken_up(first.run_id, elsewhere)
    assert (found.claims, found.segments, found.seed) == (first.claims, first.segments, 7)
    assert paid(server) == before and found.usage.calls == 0


@pytest.mark.slow
@pytest.mark.parametrize("direct", [False, True])
async def test_a_trace_of_a_run_goes_on(book: Path, elsewhere: Path, given: dict[str, Any], server: Any, direct: bool):
    answer = await coa.aio.ask(book, QUESTION, **given)
    first = await coa.aio.trace_run(answer.run_id, direct=direct)
    before = paid(server)
    found = await taken_up(first.run_id, elsewhere)
    assert (found.claims, found.answer, found.question) == (first.claims, first.answer, first.question)
    assert paid(server) == before and found.usage.calls == 0


async def test_what_changed_or_is_gone_is_named(book: Path, given: dict[str, Any], tmp_path: Path):
    first = await coa.aio.trace(book, QUESTION, ANSWER, **given)
    kept = tmp_path / "runs" / first.run_id / "request.json"
    asked = json.loads(kept.read_text())
    for damage in ("{", json.dumps({**asked, "options": {"k": "many"}}), json.dumps({**asked, "run": "ask-gone"})):
        kept.write_text(damage)
        with pytest.raises(RunNotFound):
            await coa.aio.resume(first.run_id)
    kept.write_text(json.dumps(asked))
    (tmp_path / "other.txt").write_text(FACT)
    (tmp_path / "other.txt").replace(book)
    with pytest.raises(InputChanged, match=r"book\.txt"):
        await coa.aio.resume(first.run_id)


@pytest.mark.slow
def test_the_command_prints_it_and_writes_its_report(coa: Any, book: Path, tmp_path: Path):
    words = ("--source", "-", "--question", QUESTION, "--answer", ANSWER, "--model", "offline", "-q")
    asked = coa("trace", *words, stdin=book.read_bytes())
    (run,) = [path.name for path in (tmp_path / "runs").iterdir()]
    report = tmp_path / "report.html"
    again = coa("resume", run, "-q", "--html", str(report))
    assert asked.code == again.code == 0 and again.out == asked.out
    assert "Odalys" in report.read_text()
