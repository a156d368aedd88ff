"""Tree and map-then-chain: parts side by side, notes merged, nothing lost, and the orders of reading."""

import asyncio
import re
from pathlib import Path

import pytest

import coa
from coa.errors import InvalidReply, ProviderUnavailable
from coa.pipelines.merging import fan_in, levels, room_for_notes, row
from coa.pipelines.window import Window
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel

FACT = re.compile(r"FACT-\d+")
FACTS = 24


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = "The sea is grey and wide today. " * 60
    path.write_text("".join(f"FACT-{i} is planted here. {filler}\n\n" for i in range(FACTS)))
    return path


def facts(request: Request) -> Reply:
    prompt = "\n".join(message.content for message in request.messages)
    text = "Known: " + " ".join(dict.fromkeys(FACT.findall(prompt))) + "."
    if request.role == "worker" and (found := FACT.search(request.inputs["passage"].text)):
        text += f" [[{found[0]} is planted here]]."
    else:
        text += "".join(f"[{evidence.marker}]" for evidence in request.inputs["notes"].evidence)
    return Reply(text=text, finish="stop", model="facts", prompt_tokens=len(prompt) // 4, completion_tokens=150)


@pytest.mark.parametrize("topology", ["tree", "map-then-chain"])
@pytest.mark.parametrize("window", [1500, 2048, 8192])
async def test_no_fact_is_lost_and_every_quote_is_verbatim(book: Path, window: int, topology: str) -> None:
    sizes: list[int] = []
    roles: list[str] = []

    def reply(request: Request) -> Reply:
        sizes.append(sum(len(message.content) for message in request.messages) // 4)
        roles.append(request.role)
        return facts(request)

    answer = await coa.aio.ask(
        book, "Which facts?", model=ScriptedModel(reply, window=window), window=window, topology=topology
    )
    assert len(set(FACT.findall(answer.text))) == FACTS
    assert max(sizes) <= window
    assert answer.status == "complete"
    text = coa.load(book).text
    assert answer.citations
    assert all(text[c.span.start : c.span.end] == c.quote for c in answer.citations)
    assert ("merger" in roles) is (window == 1500)
    assert roles[-1] == "manager"


async def test_parts_are_read_side_by_side_under_the_limit(book: Path) -> None:
    at_once = highest = 0

    async def reply(request: Request) -> Reply:
        nonlocal at_once, highest
        at_once += 1
        highest = max(highest, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return facts(request)

    done: list[int] = []
    await coa.aio.ask(
        book,
        "Which facts?",
        model=ScriptedModel(reply, window=2048),
        topology="tree",
        concurrency=4,
        on_event=lambda event: done.append(event.done) if isinstance(event, coa.events.StepDone) else None,
    )
    assert highest == 4
    assert done == sorted(done) == list(range(1, len(done) + 1))


def test_the_plan_shows_a_short_critical_path_and_is_not_exceeded(book: Path) -> None:
    with FaultServer("facts") as server:
        options = {"model": "openai:fake", "base_url": server.base_url, "window": 2048}
        chain = coa.plan(book, "Which facts?", **options)
        tree = coa.plan(book, "Which facts?", topology="tree", **options)
        assert tree.serial_calls < chain.serial_calls / 3
        answer = coa.ask(book, "Which facts?", topology="tree", **options)
        assert answer.usage.calls <= tree.calls
        assert all(f"FACT-{i}" in answer.text for i in range(FACTS))


def test_a_part_that_cannot_be_read_is_listed(book: Path) -> None:
    def reply(request: Request) -> Reply:
        if request.role == "worker" and request.inputs["passage"].part == 3:
            return Reply(text="", finish="stop", model="facts")
        return facts(request)

    answer = coa.ask(book, "Which facts?", model=ScriptedModel(reply, window=2048), topology="tree")
    assert answer.status == "partial"
    assert len(answer.coverage.failed) == 1


def test_when_nothing_can_be_read_there_is_no_answer(book: Path) -> None:
    def silent(request: Request) -> Reply:
        return Reply(text="", finish="stop", model="facts")

    with pytest.raises(InvalidReply):
        coa.ask(book, "Which facts?", model=ScriptedModel(silent, window=2048), topology="tree")


def test_a_dead_provider_stops_all_parts_and_the_same_command_pays_only_for_the_rest(book: Path) -> None:
    sent = 0

    def dying(request: Request) -> Reply:
        nonlocal sent
        if request.role == "worker" and request.inputs["passage"].part == 9:
            raise ProviderUnavailable("gone")
        sent += 1
        return facts(request)

    options = {"topology": "tree", "retries": 0, "window": 2048, "concurrency": 2}
    with pytest.raises(ProviderUnavailable):
        coa.ask(book, "Which facts?", model=ScriptedModel(dying, window=2048), **options)
    answer = coa.ask(book, "Which facts?", model=ScriptedModel(facts, window=2048), **options)
    assert answer.usage.calls_from_journal == sent > 0


def test_the_offline_engine_merges_too(book: Path) -> None:
    book.write_text(book.read_text() + "\n\nThe brass key lies under the third stair.\n")
    answer = coa.ask(
        book, "Where does the brass key lie?", model="offline", window=1500, topology="tree", journal=False
    )
    assert "third stair" in answer.text


@pytest.mark.parametrize("order", ["rtl", "random", "relevance", "chow-liu"])
def test_an_order_changes_what_is_read_first_and_loses_nothing(book: Path, order: str) -> None:
    first: list[str] = []

    def reply(request: Request) -> Reply:
        if request.role == "worker":
            first.append(request.inputs["passage"].text)
        return facts(request)

    answer = coa.ask(book, "Which facts?", model=ScriptedModel(reply, window=2048), order=order)
    assert "FACT-0 " not in first[0]
    assert len(set(FACT.findall(answer.text))) == FACTS


async def test_a_row_merges_one_after_the_other_and_never_more_often_than_planned(book: Path) -> None:
    calls = 0

    def reply(request: Request) -> Reply:
        nonlocal calls
        calls += request.role == "merger"
        return facts(request)

    model = ScriptedModel(reply, window=1500)
    plan = await coa.aio.plan(book, question="Which facts?", model=model, window=1500, topology="map-then-chain")
    await coa.aio.ask(book, "Which facts?", model=model, window=1500, topology="map-then-chain")
    assert 0 < calls <= plan.serial_calls - 2


def test_the_bound_of_a_row_is_what_folding_takes() -> None:
    window = Window(size=2000, notes=200, answer=300, worker=300, manager=300)
    wide = fan_in(window)
    assert row(1, window) == (0, 0)
    for parts in range(2, 60):
        merges, serial = row(parts, window)
        assert merges == serial
        assert merges >= levels(parts, window)[1]
        assert (parts - merges * (wide - 1)) * window.notes <= room_for_notes(window) or merges * (
            wide - 1
        ) >= parts - 1


async def test_runs_side_by_side_share_what_a_server_can_bear(book: Path) -> None:
    async with FaultServer("facts", capacity=3, latency=0.01) as server:
        given = {"model": "openai:fake", "base_url": server.base_url, "window": 4096, "journal": False}
        limiter = coa.aio.Limiter(3)
        answers = await asyncio.gather(
            *(coa.aio.ask(book, f"Which facts, number {n}?", limiter=limiter, **given) for n in range(8))
        )
        assert server.statuses == {200: sum(answer.usage.calls for answer in answers)}
        assert server.max_in_flight == 3
        limiter = coa.aio.Limiter(64)
        found = await coa.aio.verify(book, "FACT-3 is planted.", limiter=limiter, **given)
        assert len(found) == 1 and limiter.in_flight == 0
