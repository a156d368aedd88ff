"""Structured notes and parts that are read again, from end to end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import coa
from coa.errors import UsageError
from coa.events import FactsDropped, Reopened
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel

FACT = re.compile(r"FACT-\d+")
FACTS = 12
WINDOW = 2048


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = "The sea is grey and wide today. " * 50
    path.write_text("".join(f"FACT-{i} is planted here. {filler}\n\n" for i in range(FACTS)))
    return path


def said(text: str) -> Reply:
    return Reply(text=text, finish="stop", model="m")


def remembering(request: Request) -> Reply:
    """A worker gives what its passage holds and no more; the manager tells what the notes show."""
    if request.role == "worker":
        found = dict.fromkeys(FACT.findall(request.inputs["passage"].text))
        lines = [
            {"fact": f"{each} stands here.", "quote": f"{each} is planted here", "confidence": 4} for each in found
        ]
        return said("\n".join(map(json.dumps, lines)) or "NO NEW INFORMATION")
    assert request.role == "manager", "structured notes are merged by code"
    lines = [f"{fact.text} [{fact.markers[0]}]" for fact in request.inputs["notes"].facts]
    return said("\n".join(lines) or "The document does not state it.")


def ask(book: Path, reply: Callable[[Request], Reply], **options: object) -> coa.Answer:
    given = {"window": WINDOW, "journal": False, "notes": "structured", **options}
    return coa.ask(book, "Which facts?", model=ScriptedModel(reply, window=WINDOW), **given)


@pytest.mark.parametrize("order", ["ltr", "rtl"])
@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
def test_facts_that_workers_do_not_repeat_are_kept_with_their_citations(book: Path, topology: str, order: str) -> None:
    answer = ask(book, remembering, topology=topology, order=order)
    assert len(set(FACT.findall(answer.text))) == FACTS == len(answer.citations)
    text = coa.load(book).text
    assert all(text[c.span.start : c.span.end] == c.quote for c in answer.citations)
    assert answer.status == "complete" and not answer.warnings


@pytest.mark.parametrize("other", ["NO NEW INFORMATION", "I'm sorry, I cannot help with that.", "", "So be it."])
def test_a_worker_with_nothing_to_say_costs_no_fact(book: Path, other: str) -> None:
    def reply(request: Request) -> Reply:
        part = request.inputs["passage"].part if request.role == "worker" else 1
        return remembering(request) if part == 1 else said(other)

    answer = ask(book, reply)
    assert "FACT-0" in answer.text
    assert answer.status == ("complete" if other.startswith("NO") else "partial")


def test_facts_without_room_are_told_as_event_and_warning(book: Path) -> None:
    def wordy(request: Request) -> Reply:
        if request.role != "worker":
            return said("Done.")
        part = request.inputs["passage"].part
        lines = [
            {"fact": f"Part {part} says number {i} at great length and in many words.", "confidence": 1 + (part == 1)}
            for i in range(8)
        ]
        return said("\n".join(map(json.dumps, lines)))

    events: list[coa.events.Event] = []
    answer = ask(book, wordy, on_event=events.append)
    told = [fact for event in events if isinstance(event, FactsDropped) for fact in event.facts]
    assert told and not any(fact.startswith("Part 1 ") for fact in told)
    assert any(f"{len(told)} facts with the least support" in warning for warning in answer.warnings)


def test_no_request_is_too_long_and_a_resumed_run_pays_nothing(book: Path) -> None:
    def speak(prompt: str) -> str:
        if "The memory so far" not in prompt:
            return "Done."
        return "\n".join(json.dumps({"fact": f"{each} is there."}) for each in dict.fromkeys(FACT.findall(prompt)))

    with FaultServer(speak, max_context=WINDOW) as server:
        options = {"model": "openai:fake", "base_url": server.base_url, "window": WINDOW, "notes": "structured"}
        first = coa.ask(book, "Which facts?", **options)
        again = coa.ask(book, "Which facts?", **options)
        assert server.statuses == {200: first.usage.calls}
    assert again.usage.calls == 0 and again.text == first.text


def test_the_offline_engine_remembers_too(book: Path) -> None:
    book.write_text(book.read_text() + "\n\nThe brass key lies under the third stair.\n")
    answer = coa.ask(book, "Where does the brass key lie?", model="offline", window=WINDOW, notes="structured")
    assert "third stair" in answer.text and answer.citations


def test_unknown_notes_are_refused(book: Path) -> None:
    with pytest.raises(UsageError, match="notes"):
        coa.ask(book, "Which?", model="offline", notes="verbose")


def opening(request: Request) -> Reply:
    """Workers overlook the key until they are asked for it."""
    if request.role == "worker":
        text = request.inputs["passage"].text
        asked = "brass key" in request.inputs["query"] and "brass key" in text
        return said("The key lies there [[under the third stair]]." if asked else "Some notes.")
    notes = request.inputs["notes"].text
    if "The key lies" in notes:
        return said(f"Under the stair {notes[notes.index('[') : notes.index(']') + 1]}.")
    may_open = "OPEN:" in request.messages[-1].content
    return said("OPEN: where the brass key lies" if may_open else "The document does not state it.")


@pytest.mark.parametrize("topology", ["chain", "tree"])
def test_the_part_that_was_overlooked_is_read_again(book: Path, topology: str) -> None:
    parts = book.read_text().split("\n\n")
    parts[3] += " The brass key lies under the third stair."
    book.write_text("\n\n".join(parts))
    closed = ask(book, opening, notes="free", topology=topology)
    assert closed.text == "The document does not state it."
    events: list[coa.events.Event] = []
    options = {"notes": "free", "topology": topology, "reopen": 2}
    answer = ask(book, opening, on_event=events.append, **options)
    assert answer.text.startswith("Under the stair [1]")
    assert answer.citations[0].quote == "under the third stair"
    (again,) = [event for event in events if isinstance(event, Reopened)]
    assert again.need == "where the brass key lies" and len(again.spans) == 2
    assert any(span.start <= answer.citations[0].span.start < span.end for span in again.spans)
    assert answer.usage.calls == closed.usage.calls + 3
    model = ScriptedModel(opening, window=WINDOW)
    plan = coa.plan(book, "Which facts?", model=model, window=WINDOW, **options)
    assert answer.usage.calls <= plan.calls


def test_a_manager_who_leaves_nothing_open_costs_nothing_more(book: Path) -> None:
    answer = ask(
        book, lambda request: said("Tom Reed." if request.role == "manager" else "Notes."), notes="free", reopen=4
    )
    assert answer.text == "Tom Reed."
    assert answer.usage.calls == answer.coverage.chunks + 1


def test_a_manager_who_never_stops_asking_is_heard_once(book: Path) -> None:
    def endless(request: Request) -> Reply:
        return said("OPEN: everything" if request.role == "manager" else "Notes.")

    answer = ask(book, endless, notes="free", reopen=1)
    assert answer.usage.calls == answer.coverage.chunks + 3


def test_closed_questions_may_be_left_open_too(book: Path) -> None:
    def reply(request: Request) -> Reply:
        if request.role == "worker":
            return said("Notes.")
        return said("OPEN: whether it was so" if "OPEN:" in request.messages[-1].content else "yes\nIt was so.")

    answer = ask(book, reply, notes="free", reopen=1, choices=("yes", "no"))
    assert answer.choice is not None and answer.choice.chosen == "yes"
