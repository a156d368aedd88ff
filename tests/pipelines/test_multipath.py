"""Several readings of one document: nothing lost in any, one selected, and one failure costs the others nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import coa
from coa.attribution.replay import played
from coa.errors import BudgetExceeded, ProviderUnavailable, UsageError
from coa.pipelines.paths import parse_paths
from coa.report import answer_from_json, answer_to_json
from coa.runtime.runs import Runs
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel
from coa.testing.speech import facts

FACT = re.compile(r"FACT-\d+")
FACTS = 12
WAYS = ("bidirectional", "self-consistency:3", "permutations:4")


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    filler = "The sea is grey and wide today. " * 60
    path.write_text("".join(f"FACT-{i} is planted here. {filler}\n\n" for i in range(FACTS)))
    return path


def facts_or_letter(prompt: str) -> str:
    return "A" if "the letter of the best" in prompt else facts(prompt)


def answering(*texts: str, judge: str = "A") -> Callable[[Request], Reply]:
    """Workers that note nothing of worth, and a manager who says another text in each reading."""

    def reply(request: Request) -> Reply:
        said = {"manager": texts[request.sample % len(texts)], "judge": judge}.get(request.role, "Some notes.")
        return Reply(text=said, finish="stop", model="m")

    return reply


@pytest.mark.parametrize("paths", WAYS)
@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
async def test_no_reading_loses_a_fact_and_calls_stay_under_the_limit(book: Path, paths: str, topology: str) -> None:
    async with FaultServer(facts_or_letter, max_context=2048, latency=0.002) as server:
        options = {"model": "openai:fake", "base_url": server.base_url, "window": 2048, "topology": topology}
        plan = await coa.aio.plan(book, "Which facts?", paths=paths, **options)
        answer = await coa.aio.ask(book, "Which facts?", paths=paths, concurrency=3, **options)
    count = {"bidirectional": 2, "self-consistency:3": 3, "permutations:4": 4}[paths]
    assert [len(set(FACT.findall(reading.text))) for reading in answer.readings] == [FACTS] * count
    assert sum(reading.fate == "selected" for reading in answer.readings) == 1
    assert answer.status == "complete"
    assert 1 < server.max_in_flight <= 3
    assert server.statuses == {200: server.hits}
    assert server.hits <= plan.calls


async def test_the_readings_go_in_their_orders_and_samples_are_drawn_warm(book: Path) -> None:
    async def read(paths: str) -> list[Request]:
        model = ScriptedModel(answering("same"), window=2048)
        await coa.aio.ask(book, "Which facts?", model=model, window=2048, paths=paths, journal=False)
        return [request for request in model.requests if request.role == "worker"]

    def starts(requests: list[Request], sample: int) -> list[int]:
        return [each.inputs["passage"].span.start for each in requests if each.sample == sample]

    both = await read("bidirectional")
    assert starts(both, 0) == sorted(starts(both, 0)) == starts(both, 1)[::-1]
    assert {each.temperature for each in both} == {0.0}
    drawn = await read("self-consistency:3")
    assert starts(drawn, 0) == starts(drawn, 1) == starts(drawn, 2)
    assert {(each.sample, each.seed, each.temperature > 0) for each in drawn} == {(i, i, True) for i in range(3)}
    permuted = await read("permutations:3")
    assert len({tuple(starts(permuted, i)) for i in range(3)}) == 3


def test_permutations_are_different_and_no_more_than_there_are() -> None:
    permutations = parse_paths("permutations:20")
    assert permutations is not None
    assert permutations.number(3) == 6
    assert permutations.number(1) == 1
    assert permutations.number(30) == 20
    assert permutations.ways(tuple(range(9))) == permutations.ways(tuple(range(9)))


@pytest.mark.parametrize("paths", ["twice", "bidirectional:2", "permutations:x", "permutations:1", "permutations:99"])
def test_unknown_paths_are_refused_before_anything_is_sent(book: Path, paths: str) -> None:
    with pytest.raises(UsageError):
        coa.ask(book, "Which?", model="offline", paths=paths)
    with pytest.raises(UsageError, match="selection"):
        coa.ask(book, "Which?", model="offline", select="dice")


def select(book: Path, *texts: str, judge: str = "A", **options: object) -> tuple[coa.Answer, list[str]]:
    model = ScriptedModel(answering(*texts, judge=judge), window=2048)
    given = {"paths": f"self-consistency:{len(texts)}", "journal": False, **options}
    answer = coa.ask(book, "Who?", model=model, window=2048, **given)
    return answer, [request.role for request in model.requests if request.role == "judge"]


def test_a_vote_decides_short_answers_whatever_their_spelling(book: Path) -> None:
    answer, judged = select(book, "Tom Reed", "The Tom Reed.", "Ann Hale")
    assert answer.text == "Tom Reed"
    assert not judged
    assert answer.readings[0].reason == "2 of 3 agree"


def test_closed_answers_are_counted_by_choice_and_those_without_one_do_not_vote(book: Path) -> None:
    texts = ("yes\nBecause of this.", "no\nBecause of that.", "YES, it is so.", "Perhaps.", "Perhaps.")
    answer, judged = select(book, *texts, choices=("yes", "no"))
    assert answer.choice is not None and answer.choice.chosen == "yes"
    assert not judged


def test_a_tie_and_long_answers_go_to_the_judge(book: Path) -> None:
    answer, judged = select(book, "Tom Reed", "Ann Hale", judge="The best is B.")
    assert answer.text == "Ann Hale"
    assert len(judged) == 1
    one, other = "The letter was hidden by her. " * 9, "The letter was burnt by him. " * 9
    answer, judged = select(book, one, one, other, judge="C")
    assert answer.text == other.strip()
    assert len(judged) == 1


def test_a_vote_that_decides_nothing_takes_the_text_most_like_the_others(book: Path) -> None:
    answer, judged = select(book, "red green", "blue red green", "black", select="vote")
    assert answer.text in ("red green", "blue red green")
    assert not judged


def test_a_judge_who_names_nobody_is_asked_once_more_and_then_done_without(book: Path) -> None:
    one, other = "The letter was hidden by her. " * 9, "The letter was burnt by him. " * 9
    answer, judged = select(book, one, other, judge="Neither.")
    assert len(judged) == 2
    assert answer.text == one.strip()
    assert "the judge failed" in answer.readings[0].reason


def test_texts_that_do_not_fit_one_prompt_are_judged_in_rounds(book: Path) -> None:
    texts = [f"Number {i} says: " + "the keeper rowed out before sunrise. " * 60 for i in range(5)]
    answer, judged = select(book, *texts, judge="A")
    assert len(judged) > 1
    assert answer.text.startswith("Number 0")


def failing(sample: int) -> Callable[[Request], Reply]:
    def reply(request: Request) -> Reply:
        if request.sample == sample and request.role == "manager":
            raise ProviderUnavailable("gone")
        return answering("Tom Reed", "Ann Hale")(request)

    return reply


def test_a_reading_that_fails_does_not_lose_the_others_and_is_made_good_later(book: Path) -> None:
    options = {"paths": "bidirectional", "window": 2048, "retries": 0}
    events: list[coa.events.Event] = []
    answer = coa.ask(book, "Who?", model=ScriptedModel(failing(1), window=2048), on_event=events.append, **options)
    assert answer.text == "Tom Reed"
    assert [reading.fate for reading in answer.readings] == ["selected", "failed"]
    assert "backward could not be finished: gone" in answer.warnings
    steps = [event for event in events if isinstance(event, coa.events.StepDone)]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1].done == steps[-1].steps
    again = coa.ask(book, "Who?", model=ScriptedModel(answering("Tom Reed", "Ann Hale"), window=2048), **options)
    assert again.usage.calls == 2  # The manager of the reading that failed, and the judge.
    assert [reading.fate for reading in again.readings] == ["selected", "not selected"]


def test_when_no_reading_can_be_finished_the_first_error_is_told(book: Path) -> None:
    def dead(request: Request) -> Reply:
        raise ProviderUnavailable("gone")

    with pytest.raises(ProviderUnavailable):
        coa.ask(book, "Who?", model=ScriptedModel(dead), window=2048, retries=0, paths="bidirectional")


def test_a_budget_stops_all_readings_and_resuming_pays_only_for_the_rest(book: Path) -> None:
    options = {"paths": "bidirectional", "window": 2048}
    model = ScriptedModel(answering("Tom Reed", "Ann Hale"), window=2048)
    with pytest.raises(BudgetExceeded):
        coa.ask(book, "Who?", model=model, max_calls=7, **options)
    answer = coa.ask(book, "Who?", model=ScriptedModel(answering("Tom Reed", "Ann Hale"), window=2048), **options)
    assert answer.usage.calls_from_journal == 7
    whole = coa.ask(
        book, "Who?", model=ScriptedModel(answering("Tom Reed", "Ann Hale"), window=2048), journal=False, **options
    )
    assert (answer.text, answer.readings) == (whole.text, whole.readings)


def test_an_answer_keeps_its_readings_and_its_choice_as_json(book: Path) -> None:
    answer, _ = select(book, "yes\nSo.", "no\nNot so.", "yes\nSo.", choices=("yes", "no"))
    read = answer_from_json(answer_to_json(answer))
    assert (read.readings, read.choice, read.text) == (answer.readings, answer.choice, answer.text)
    assert len(read.readings) == 3


async def test_a_trace_goes_through_the_selected_reading_alone(book: Path) -> None:
    model = ScriptedModel(answering("Tom Reed", "Ann Hale", judge="B"), window=2048)
    answer = await coa.aio.ask(book, "Who?", model=model, window=2048, paths="bidirectional")
    settings = coa.config.load_settings()
    runs = Runs(settings.run_dir)
    run = await played(runs.get(answer.run_id), runs, settings, model)
    assert {step.request.sample for step in run.steps} == {1}
    assert run.steps[-1].text == answer.text == "Ann Hale"


async def test_a_stream_tells_the_selected_text_and_nothing_else(book: Path) -> None:
    model = ScriptedModel(answering("Tom Reed", "Ann Hale", judge="B"), window=2048)
    events = [event async for event in coa.stream.ask(book, "Who?", model=model, window=2048, paths="bidirectional")]
    pieces = [event for event in events if isinstance(event, coa.events.TextPiece)]
    assert [piece.text for piece in pieces] == ["Ann Hale"]


def test_one_part_has_one_reading(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The lamp is green tonight.")
    answer = coa.ask(note, "What colour is the lamp?", model="offline", paths="permutations:5")
    assert not answer.readings
    assert any("one way only" in warning for warning in answer.warnings)
