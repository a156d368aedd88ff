"""The paper's baselines: Merge, which votes among answers from single parts, and Hierarchical, which merges nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.attribution.replay import played
from coa.config import load_settings
from coa.errors import InvalidReply, WindowTooSmall
from coa.runtime.runs import Runs
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel
from coa.testing.fault import FAULTS, Fault

WINDOW = 2048


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"In part {i} the keeper wrote one line. " * 40 + "\n\n" for i in range(10)))
    return path


def readers(*texts: str) -> Callable[[Request], Reply]:
    def reply(request: Request) -> Reply:
        assert request.role == "reader"
        return Reply(text=texts[request.sample % len(texts)], finish="stop", model="m")

    return reply


def merged(book: Path, *texts: str, **options: object) -> coa.Answer:
    model = ScriptedModel(readers(*texts), window=WINDOW)
    given = {"topology": "merge", "window": WINDOW, "journal": False, **options}
    return coa.ask(book, "Who?", model=model, **given)


def test_the_answer_of_the_most_parts_is_taken_and_parts_that_hold_none_do_not_vote(book: Path) -> None:
    answer = merged(
        book, "The document does not state it.", "Ann", "The document does not state it.", "Tom Reed.", "The Ann."
    )
    assert answer.text == "Ann"
    assert answer.status == "complete"
    assert {reading.text for reading in answer.readings} == {
        "The document does not state it.",
        "Ann",
        "Tom Reed.",
        "The Ann.",
    }
    assert [reading.fate for reading in answer.readings].count("selected") == 1


def test_where_no_part_holds_the_answer_that_is_the_answer(book: Path) -> None:
    assert merged(book, "The document does not state it.").text == "The document does not state it."


def test_closed_questions_are_counted_by_choice(book: Path) -> None:
    answer = merged(book, "NOT STATED\nNothing.", "no\nSo.", "yes\nSo.", "yes\nOtherwise.", choices=("yes", "no"))
    assert answer.choice is not None and answer.choice.chosen == "yes"


async def test_quotes_of_the_chosen_part_are_cited_and_traced(book: Path) -> None:
    def reply(request: Request) -> Reply:
        quote = request.inputs["passage"].text.split(". ")[0] if request.sample == 1 else "made up by the model"
        return Reply(text=f"One line [[{quote}]].", finish="stop", model="m")

    model = ScriptedModel(reply, window=WINDOW)
    answer = await coa.aio.ask(book, "What?", model=model, window=WINDOW, topology="merge")
    text = coa.load(book).text
    (citation,) = answer.citations
    assert text[citation.span.start : citation.span.end] == citation.quote
    settings = load_settings()
    assert settings.run_dir is not None
    runs = Runs(settings.run_dir)
    run = await played(runs.get(answer.run_id), runs, settings, model)
    assert [step.request.sample for step in run.steps] == [1]


async def test_all_parts_are_read_at_once_as_planned_and_nothing_is_too_long(book: Path) -> None:
    async with FaultServer("facts", max_context=WINDOW, latency=0.02) as server:
        options = {"model": "openai:fake", "base_url": server.base_url, "window": WINDOW, "topology": "merge"}
        plan = await coa.aio.plan(book, "Who?", **options)
        answer = await coa.aio.ask(book, "Who?", **options)
    assert plan.serial_calls == 1
    assert plan.calls == server.hits == answer.coverage.chunks
    assert server.statuses == {200: server.hits}
    assert server.max_in_flight > 1


async def test_a_part_that_the_server_finds_too_long_is_answered_from_in_halves(book: Path) -> None:
    async with FaultServer("facts", max_context=WINDOW, chars_per_token=1.4) as server:
        answer = await coa.aio.ask(
            book, "Who?", model="openai:fake", base_url=server.base_url, window=WINDOW, topology="merge"
        )
    assert server.statuses[400] > 0
    assert answer.status == "complete"
    assert len(answer.readings) > answer.coverage.chunks


async def test_a_part_without_an_answer_is_listed_and_when_all_fail_there_is_none(book: Path) -> None:
    def silent(_: int, body: Mapping[str, Any]) -> Fault | None:
        return FAULTS["empty"] if "In part 0 the" in body["messages"][0]["content"] else None

    async with FaultServer("Tom Reed", faults=silent) as server:
        options = {"model": "openai:fake", "base_url": server.base_url, "window": WINDOW, "topology": "merge"}
        answer = await coa.aio.ask(book, "Who?", concurrency=1, journal=False, **options)
    assert answer.text == "Tom Reed"
    assert answer.status == "partial"
    assert len(answer.coverage.failed) == 1
    async with FaultServer("") as server:
        with pytest.raises(InvalidReply):
            options = {"model": "openai:fake", "base_url": server.base_url, "window": WINDOW, "topology": "merge"}
            await coa.aio.ask(book, "Who?", **options)


def test_hierarchical_shows_the_manager_all_notes_and_refuses_what_is_too_long_for_it(book: Path) -> None:
    seen: list[str] = []

    def reply(request: Request) -> Reply:
        if request.role == "manager":
            seen.append(request.messages[-1].content)
            return Reply(text="Done.", finish="stop", model="m")
        assert request.role == "worker", "nothing is merged"
        part = request.inputs["passage"].part
        text = "NO NEW INFORMATION" if part == 2 else f"Note of part {part}."
        return Reply(text=text, finish="stop", model="m")

    model = ScriptedModel(reply, window=WINDOW)
    answer = coa.ask(book, "Who?", model=model, window=WINDOW, topology="hierarchical", journal=False)
    parts = answer.coverage.chunks
    assert all((f"Note of part {i}." in seen[0]) is (i != 2) for i in range(1, parts + 1))
    long = book.with_name("long.txt")
    long.write_text(book.read_text() * 12)
    with pytest.raises(WindowTooSmall, match="do not fit"):
        coa.ask(long, "Who?", model=model, window=WINDOW, topology="hierarchical")
    plan = coa.plan(long, "Who?", model=model, window=WINDOW)
    names = {other.topology for other in plan.alternatives}
    assert "merge" in names and "hierarchical" not in names and "single" not in names


def test_merge_takes_no_paths(book: Path) -> None:
    with pytest.raises(coa.errors.UsageError, match="vote already"):
        merged(book, "x", paths="bidirectional")
