"""DRAG and IterDRAG over real indices; a small rule-based reasoner stands in for the model: a chain of three facts."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.agents.researcher import Decision, decision_in
from coa.errors import BudgetExceeded, EmptyDocument, InputChanged, UsageError, WindowTooSmall
from coa.retrieval.iterate.cost import calls, input_tokens
from coa.retrieval.iterate.shots import read_shots
from coa.serving.base import Request
from coa.testing import ScriptedModel
from coa.types import Shot, Step, Task

QUESTION = "Who is the mayor of the place where the keeper of Gull Stack was born?"
FACTS = {
    "keepers.txt": "The keeper of Gull Stack is Martha Quill. She has lit the lamp there for nine years.",
    "births.txt": "Martha Quill was born in Port Ellen. Her brother was born in Tarn.",
    "towns.txt": "The mayor of Port Ellen is Ivo Brandt. He sells nets.",
}
NOISE = {
    f"noise{n}.txt": f"On day {n} the boats brought {n} barrels of herring and the wind was fair." for n in range(40)
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in (FACTS | NOISE).items():
        (folder / name).write_text(text)
    coa.index(folder, tmp_path / "lib").close()
    return tmp_path / "lib"


def reason(request: Request) -> str:
    """Follows the chain as far as the passages of this very prompt go."""
    seen = request.inputs["passage"].text
    keeper = re.search(r"keeper of Gull Stack is (\w+ \w+)", seen)
    town = keeper and re.search(rf"{keeper[1]} was born in (\w+ \w+)", seen)
    mayor = town and re.search(rf"The mayor of {town[1]} is (\w+ \w+)", seen)
    if mayor:
        answer = f"It is {mayor[1]} [[{mayor[0]}]]."
    elif "drag_sub" in kind_of(request) or request.role == "reader":
        answer = "NOT STATED"
    elif town:
        return f"FOLLOW UP: Who is the mayor of {town[1]}?"
    elif keeper:
        return f"FOLLOW UP: Where was {keeper[1]} born?"
    else:
        return "FOLLOW UP: Who is the keeper of Gull Stack?"
    return f"ANSWER: {answer}" if kind_of(request) == "drag_step" else answer


def kind_of(request: Request) -> str:
    prompt = request.messages[0].content
    return (
        "drag_step"
        if "write one line that begins with FOLLOW UP" in prompt
        else ("drag_sub" if "Answer in one sentence" in prompt else "drag_answer")
    )


def ask(library: Path, tmp_path: Path, rounds: int, model: Any = None, **options: Any) -> coa.Answer:
    given = {"retrieve": 25, "run_dir": tmp_path / "runs"} | options
    return coa.ask(library, QUESTION, rounds=rounds, model=model or ScriptedModel(reason), **given)


def test_follow_up_questions_find_what_one_search_does_not(library: Path, tmp_path: Path) -> None:
    once = ask(library, tmp_path, 0)
    assert (once.usage.calls, once.steps, once.text) == (1, (), "NOT STATED")
    answer = ask(library, tmp_path, 5)
    assert answer.text == "It is Ivo Brandt [1]."
    (citation,) = answer.citations
    path = next(source.path for source in answer.documents if source.id == citation.span.doc)
    assert path.endswith("towns.txt")
    assert coa.load(path).text[citation.span.start : citation.span.end] == citation.quote == FACTS["towns.txt"][:37]
    assert 1 <= len(answer.steps) <= 3
    assert answer.usage.calls == 2 * len(answer.steps) + 1
    assert json.loads(json.dumps(answer.to_dict()))["steps"][0]["question"] == answer.steps[0].question


def test_the_last_answer_is_forced_when_no_round_is_left(library: Path, tmp_path: Path) -> None:
    asked = iter(range(100))
    model = ScriptedModel(
        lambda request: f"FOLLOW UP: What about day {next(asked)}?" if kind_of(request) == "drag_step" else "NOT STATED"
    )
    answer = ask(library, tmp_path, 3, model)
    assert [kind_of(request) for request in model.requests] == ["drag_step", "drag_sub"] * 3 + ["drag_answer"]
    assert [step.answer for step in answer.steps] == ["NOT STATED"] * 3
    assert answer.text == "NOT STATED"


def test_a_follow_up_that_comes_again_ends_the_questions(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel(
        lambda request: "FOLLOW UP: What about day 7?" if kind_of(request) == "drag_step" else "NOT STATED"
    )
    answer = ask(library, tmp_path, 5, model)
    assert len(answer.steps) == 1
    assert any("came twice" in warning for warning in answer.warnings)
    assert kind_of(model.requests[-1]) == "drag_answer"


def test_passages_only_grow_and_none_is_shown_twice(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel(reason)
    ask(library, tmp_path, 5, model)
    shown = [request.inputs["passage"].text for request in model.requests]
    for before, after in pairwise(shown):
        assert after.startswith(before)
    for text in (*FACTS.values(), *NOISE.values()):
        assert shown[-1].count(text) <= 1
    assert FACTS["towns.txt"] in shown[-1]
    assert FACTS["towns.txt"] not in shown[0]


def test_the_best_passage_of_a_search_stands_next_to_the_question(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel(reason)
    ask(library, tmp_path, 0, model, retrieve=120)
    index = coa.retrieval.index.Index.open(library)
    (best, *others) = index.find(QUESTION, 20)
    index.close()
    text = model.requests[0].inputs["passage"].text
    assert others
    assert text.rstrip().endswith(best.text)


def test_a_stopped_run_goes_on_and_says_the_same_as_an_uninterrupted_one(library: Path, tmp_path: Path) -> None:
    whole = ask(library, tmp_path, 5, run_dir=tmp_path / "whole")
    with pytest.raises(BudgetExceeded):
        ask(library, tmp_path, 5, max_calls=2)
    (folder,) = (tmp_path / "runs").iterdir()
    model = ScriptedModel(reason)
    done = coa.aio.api.resume(folder.name, coa.Settings(run_dir=tmp_path / "runs"), model=model)
    answer = coa.blocking.run(done)
    assert (answer.text, answer.steps, answer.citations) == (whole.text, whole.steps, whole.citations)
    assert answer.usage.calls_from_journal == 2
    assert len(model.requests) == whole.usage.calls - 2
    assert answer.usage.context_tokens == whole.usage.context_tokens == whole.usage.prompt_tokens
    again = ask(library, tmp_path, 5)
    assert (again.usage.calls, again.text, again.usage.context_tokens) == (0, whole.text, whole.usage.context_tokens)


def test_a_run_over_an_index_that_changed_is_not_taken_up(library: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded):
        ask(library, tmp_path, 5, max_calls=1)
    (folder,) = (tmp_path / "runs").iterdir()
    (tmp_path / "texts" / "keepers.txt").write_text("The keeper of Gull Stack, who was born somewhere, is the mayor.")
    coa.index(tmp_path / "texts", library).close()
    with pytest.raises(InputChanged):
        coa.blocking.run(
            coa.aio.api.resume(folder.name, coa.Settings(run_dir=tmp_path / "runs"), model=ScriptedModel(reason))
        )


@pytest.mark.parametrize("rounds", [0, 1, 3, 5])
def test_the_plan_is_an_upper_bound(library: Path, tmp_path: Path, rounds: int) -> None:
    task = Task(kind="qa", query=QUESTION, retrieve=40, rounds=rounds)
    asked = iter(range(100))
    model = ScriptedModel(
        lambda request: (
            f"FOLLOW UP: Which boats came on day {next(asked)}?" if kind_of(request) == "drag_step" else "None."
        )
    )
    planned = coa.plan(library, task=task, model=model, run_dir=tmp_path / "runs")
    assert not model.requests
    answer = ask(library, tmp_path, rounds, model, retrieve=40)
    assert answer.usage.calls == planned.calls == 2 * rounds + 1
    assert answer.usage.context_tokens <= planned.prompt_tokens
    assert planned.topology == ("iterdrag" if rounds else "drag")


def test_the_cost_of_a_setting_is_that_of_its_calls() -> None:
    assert (calls(0), calls(5)) == (1, 11)
    assert input_tokens(100, 10, 0) == 110
    assert input_tokens(100, 10, 1) == (100 + 10) + (200 + 10) + (200 + 10)
    assert input_tokens(100, 0, 2) == 100 + 200 + 200 + 300 + 300
    assert input_tokens(1, 0, 4) == 4 * 4 + 3 * 4 + 1


def test_every_prompt_fits_a_small_window_and_what_had_no_room_is_said(tmp_path: Path) -> None:
    for n in range(60):
        (tmp_path / f"{n}.txt").write_text(f"Day {n}: " + "the boats brought herring and the wind was fair. " * 8)
    coa.index(list(tmp_path.glob("*.txt")), tmp_path / "lib").close()
    asked = iter(range(1, 100))
    model = ScriptedModel(
        lambda request: (
            f"FOLLOW UP: Which boats came on day {next(asked)}?" if kind_of(request) == "drag_step" else "Some. " * 60
        ),
        window=2048,
    )
    answer = coa.ask(
        tmp_path / "lib", "Which boats brought herring?", model=model, retrieve=300, rounds=5, run_dir=tmp_path / "r"
    )
    for request in model.requests:
        assert model.counter.count(request.messages[0].content) + request.max_tokens <= 2048
    assert any("no room" in warning for warning in answer.warnings)
    with pytest.raises(WindowTooSmall, match="do not fit into one call"):
        coa.ask(tmp_path / "lib", "Which boats?", model=model, retrieve=4000, rounds=1, run_dir=tmp_path / "r")


def test_quotes_that_do_not_stand_in_the_passages_are_dropped(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel(["ANSWER: It is Ivo Brandt [[Ivo Brandt rules Port Ellen]]."])
    answer = ask(library, tmp_path, 2, model)
    assert answer.text == "It is Ivo Brandt."
    assert not answer.citations
    assert any("were dropped" in warning for warning in answer.warnings)


def test_a_reply_that_is_neither_is_asked_for_once_more_and_then_taken(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel(["Ivo Brandt, I think.", "Ivo Brandt, as I said."])
    answer = ask(library, tmp_path, 2, model)
    assert answer.text == "Ivo Brandt, as I said."
    assert "neither with FOLLOW UP" in model.requests[1].messages[0].content


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ("FOLLOW UP: Who?", Decision(follow_up="Who?")),
        ("**Follow-up question:** Who is it?\nIt matters.", Decision(follow_up="Who is it?")),
        ("So the final answer is: Port Ellen", Decision(answer="Port Ellen")),
        ("ANSWER: Port Ellen.\nIt lies north.", Decision(answer="Port Ellen.\nIt lies north.")),
        ("Port Ellen", None),
        ("ANSWER:", None),
        ("FOLLOW UP: " + "why " * 200, None),
    ],
)
def test_what_a_step_says_is_read(text: str, decision: Decision | None) -> None:
    found = decision_in(text)
    if decision is not None and decision.follow_up and found is not None:
        assert found.follow_up.strip("* ") == decision.follow_up
    else:
        assert found == decision


def test_examples_stand_in_the_prompt_and_make_another_run(library: Path, tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    shot = {
        "question": "Who owns the mill?",
        "answer": "Ada Holm",
        "passages": ["The mill is Ada Holm's."],
        "steps": [{"question": "Which mill?", "answer": "The one at Tarn"}],
    }
    path.write_text(json.dumps(shot) + "\n\n")
    shots = read_shots(path)
    assert shots == (
        Shot(
            question="Who owns the mill?",
            answer="Ada Holm",
            passages=("The mill is Ada Holm's.",),
            steps=(Step(question="Which mill?", answer="The one at Tarn"),),
        ),
    )
    model = ScriptedModel(reason)
    answer = ask(library, tmp_path, 1, model, shots=shots)
    prompt = model.requests[0].messages[0].content
    assert "Intermediate answer: The one at Tarn\nAnswer: Ada Holm" in prompt
    assert prompt.index("Ada Holm") < prompt.index(FACTS["keepers.txt"])
    assert answer.run_id != ask(library, tmp_path, 1).run_id


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"question": "x"}',
        '{"question": "x", "answer": 3}',
        '{"question": "x", "answer": "y", "steps": [1]}',
    ],
)
def test_a_line_that_is_no_example_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "shots.jsonl"
    path.write_text('{"question": "x", "answer": "y"}\n' + line)
    with pytest.raises(UsageError, match="line 2"):
        read_shots(path)


@pytest.mark.parametrize(
    "options",
    [{"rounds": 6}, {"rounds": -1}, {"rounds": 1, "retrieve": None}, {"rounds": 1, "choices": ("yes", "no")}],
)
def test_what_makes_no_sense_is_refused(library: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        coa.ask(library, QUESTION, **({"retrieve": 100, "model": ScriptedModel([]), "run_dir": tmp_path} | options))
    assert caught.value.hint


def test_nothing_found_is_said_before_anything_is_sent(library: Path, tmp_path: Path) -> None:
    model = ScriptedModel([])
    with pytest.raises(EmptyDocument, match="no passage"):
        coa.ask(library, "zzyzx", rounds=2, retrieve=100, model=model, run_dir=tmp_path / "runs")
    assert not model.requests


def test_without_a_model_one_call_quotes_the_passages_of_a_file(tmp_path: Path, root: Path) -> None:
    log = root / "examples/documents/lighthouse_log.txt"
    answer = coa.ask(log, "Who keeps the light on Gull Stack?", rounds=0, retrieve=600, run_dir=tmp_path)
    assert "Martha Quill" in answer.text
    for citation in answer.citations:
        assert coa.load(log).text[citation.span.start : citation.span.end] == citation.quote
