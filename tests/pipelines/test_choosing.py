"""What `coa plan` shows side by side, and what `--topology auto` makes of a deadline."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa import api
from coa.cli.planning import render_plan
from coa.config import Settings
from coa.errors import UsageError
from coa.forecast import seconds_of
from coa.pipelines.base import Calls
from coa.testing import ScriptedModel
from coa.types import Task

WINDOW = 2048


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"On day {i} the keeper lit the lamp and wrote it down. " for i in range(3000)))
    return path


def plan(book: Path, **options: object) -> coa.Plan:
    return coa.plan(book, "Who?", model=ScriptedModel([], window=WINDOW), window=WINDOW, **options)


def test_the_plan_shows_every_topology_and_the_chosen_one_in_several_ways(book: Path) -> None:
    found = plan(book, prices=(1.0, 2.0))
    ways = {(other.topology, other.paths): other for other in found.alternatives}
    assert {"chain", "tree", "map-then-chain", "merge"} <= {topology for topology, _ in ways}
    chain = ways["chain", "one"]
    assert (chain.calls, chain.seconds, chain.cost_usd) == (found.calls, found.seconds, found.cost_usd)
    for paths, times in (("bidirectional", 2), ("self-consistency:5", 5), ("permutations:5", 5)):
        several = ways["chain", paths]
        assert several.calls >= times * chain.calls
        assert chain.serial_calls < several.serial_calls < 2 * chain.serial_calls
        assert several.cost_usd is not None and chain.cost_usd is not None
        assert several.cost_usd >= times * chain.cost_usd
        assert several.seconds is not None and chain.seconds is not None
        assert several.seconds < 2 * chain.seconds
    text = render_plan(found, as_json=False)
    assert "--topology chain --paths permutations:5:" in text and "--topology tree:" in text
    assert "--topology chain: " not in text, "the chosen one stands above"


def test_a_plan_in_several_ways_is_told_apart_from_one(book: Path) -> None:
    found = plan(book, paths="bidirectional", topology="tree")
    assert (found.topology, found.paths) == ("tree", "bidirectional")
    assert any((other.topology, other.paths) == ("tree", "one") for other in found.alternatives)
    text = render_plan(found, as_json=False)
    assert "paths bidirectional" in text and "--topology tree:" in text


def test_reading_again_and_more_questions_stand_in_the_plan(book: Path) -> None:
    once, again = plan(book), plan(book, reopen=3)
    assert again.calls == once.calls + 4
    assert again.serial_calls == once.serial_calls + 4
    both = plan(book, reopen=3, paths="bidirectional")
    assert both.calls == plan(book, paths="bidirectional").calls + 8


def test_auto_takes_the_first_topology_that_a_deadline_allows_and_says_so(book: Path) -> None:
    def chosen(deadline: float | None) -> tuple[str, str]:
        found = plan(book, topology="auto", **({} if deadline is None else {"deadline": deadline}))
        (why,) = [warning for warning in found.warnings if warning.startswith("topology ")]
        return found.topology, why

    seconds = {name: plan(book, topology=name).seconds or 0.0 for name in ("chain", "map-then-chain", "tree")}
    assert seconds["chain"] > seconds["map-then-chain"] > seconds["tree"]
    assert chosen(None)[0] == "chain"
    assert chosen(seconds["chain"] + 1)[0] == "chain"
    assert chosen(seconds["chain"] - 1)[0] == "map-then-chain"
    assert chosen(seconds["map-then-chain"] - 1)[0] == "tree"
    topology, why = chosen(1.0)
    assert topology == "tree" and "too long all the same" in why


def test_time_follows_the_critical_path_and_the_calls_in_flight() -> None:
    asked = Calls(calls=100, serial=2, prompt_tokens=500_000, completion_tokens=5_000)
    alone = seconds_of(asked)
    assert alone == pytest.approx(200.0)
    assert seconds_of(asked, 10) == pytest.approx(alone / 10)
    assert seconds_of(asked, 1000) == pytest.approx(alone * 2 / 100)


async def test_the_streams_of_verify_and_aggregate_end_with_their_answers(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("ship: Mary\ntons: 12\n\nship: Anne\ntons: 30\n\nThe lamp is green.\n")
    heard: list[coa.events.Event] = []
    stream = coa.stream.verify(log, "The lamp is green.", model="offline", on_event=heard.append)
    claims = [event async for event in stream]
    assert heard == claims
    assert isinstance(claims[0], coa.events.RunStarted) and isinstance(claims[-1], coa.events.RunFinished)
    assert "green" in claims[-1].answer.text
    schema = {"type": "object", "properties": {"ship": {"type": "string"}, "tons": {"type": "integer"}}}
    rows = [event async for event in coa.stream.aggregate(log, schema, model="offline")]
    assert isinstance(rows[-1], coa.events.RunFinished)
    assert "Mary" in rows[-1].answer.text and "Anne" in rows[-1].answer.text
    with pytest.raises(UsageError):
        async for _ in coa.stream.verify(log, " ", model="offline"):
            pass


async def test_the_stream_of_a_text_tells_its_plan_and_its_sections_and_ends_with_it(book: Path) -> None:
    events = [event async for event in coa.stream.write("The book", words=120, source=book, model="offline")]
    (planned,) = (event for event in events if isinstance(event, coa.events.Planned))
    written = [event.id for event in events if isinstance(event, coa.events.SectionDone)]
    assert set(written) <= {name for name, _, _, _ in planned.sections}
    assert isinstance(events[-1], coa.events.RunFinished)
    assert events[-1].answer.text.startswith("# ")


async def test_auto_holds_each_part_against_a_claim_on_its_own(book: Path) -> None:
    async def chosen(deadline: float | None) -> tuple[str, str]:
        settings = Settings(topology="auto", window=WINDOW, deadline=deadline)
        found = await api.plan(
            Task(kind="verify", query="The lamp went out."), [book], settings, model=ScriptedModel([], window=WINDOW)
        )
        (why,) = [warning for warning in found.warnings if warning.startswith("topology ")]
        return found.topology, why

    topology, why = await chosen(None)
    assert topology == "map-then-chain" and "claim" in why
    assert (await chosen(1.0))[0] == "tree"
