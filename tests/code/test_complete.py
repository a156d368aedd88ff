"""`coa complete`, from end to end: scripted, offline, and against a server on loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.agents.code import code_of
from coa.code.completion import completion_task
from coa.errors import InputChanged, InputError, InvalidReply, UsageError
from coa.events import RunFinished
from coa.serving.base import Reply, Request
from coa.testing import FaultServer, ScriptedModel

REPO = Path(__file__).parents[2] / "examples/repository"
MASTER = "harbour/master.py"
ADMIT = "        self._quay.assign_berth(ship, berth)"
LINE = (REPO / MASTER).read_text().split("\n").index(ADMIT) + 1
BEFORE = "class A:\n    def f(self):\n        x = 1\n"


def said(text: str, finish: str = "stop") -> Reply:
    return Reply(text=text, finish=finish, model="m")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "before", "lines", "code"),
    [
        ("```python\n        return x\n```", BEFORE, 1, "        return x"),
        ("Here it is:\n```\n\n        return x\n        y\n```\nDone.", BEFORE, 1, "        return x"),
        ("        return x", BEFORE, 1, "        return x"),
        ("return x", BEFORE, 1, "        return x"),
        ("```\n        x = 1\n        return x\n```", BEFORE, 1, "        return x"),
        ("def g(self):", BEFORE, 1, "def g(self):"),
        ("    def g(self):\n        pass", BEFORE, 2, "    def g(self):\n        pass"),
        ("if x:\n    y()", "def f():\n", 2, "    if x:\n        y()"),
        ("<think>a</think>```\n    b\n```", "def f():\n", 1, "    b"),
        ("```\n    call(a[0], [[1, 2]])  \n```", "def f():\n", 1, "    call(a[0], [[1, 2]])"),
        ("```go\n    return 1\n```", "func f() int {\n\tx := 1\n", 1, "\treturn 1"),
        ("x = 1", "", 1, "x = 1"),
        ("}", "int f() {\n  g();\n", 1, "}"),
    ],
)
def test_lines_are_taken_out_of_a_reply(reply: str, before: str, lines: int, code: str):
    assert code_of(said(reply), before, lines) == code


def test_a_reply_that_was_cut_after_the_line_is_good_enough():
    assert code_of(said("```\n        a()\n        b(", "length"), BEFORE, 1) == "        a()"
    with pytest.raises(InvalidReply):
        code_of(said("```\n        a(", "length"), BEFORE, 1)
    with pytest.raises(InvalidReply):
        code_of(said("```\n```"), BEFORE, 1)


async def test_workers_carry_signatures_to_the_manager_and_the_line_is_exact():
    def reply(request: Request) -> str:
        if request.role == "worker":
            return (
                "`Quay.assign_berth` in harbour/berths.py [[def assign_berth(self, ship: Ship, number: int) -> None:]]"
            )
        return f"```python\n{ADMIT}\n        return berth\n```"

    model = ScriptedModel(reply)
    answer = await coa.aio.complete(REPO, file=MASTER, line=LINE, model=model, journal=False)
    assert answer.text == ADMIT and answer.status == "complete"
    (citation,) = answer.citations
    assert citation.span.doc == "harbour/berths.py" and citation.marker == 0
    berths = (REPO / "harbour/berths.py").read_text()
    assert berths[citation.span.start : citation.span.end] == citation.quote
    assert berths.split("\n")[citation.line - 1].strip() == citation.quote
    worker, manager = model.requests
    asked = worker.messages[-1].content
    assert asked.index("==== FILE harbour/berths.py") < asked.index("==== FILE harbour/ships.py")
    assert ADMIT not in asked and "assign_berth(self, ship" in manager.messages[-1].content
    assert "return berth" not in manager.messages[-1].content


@pytest.mark.parametrize("topology", ["tree", "map-then-chain", "single", "auto"])
async def test_every_topology_writes_code(topology: str):
    model = ScriptedModel(lambda request: "NO NEW INFORMATION" if request.role == "worker" else "return berth[0]")
    answer = await coa.aio.complete(REPO, file=MASTER, line=LINE, model=model, topology=topology, journal=False)
    assert answer.text == "        return berth[0]"


async def test_one_repair_turn_for_a_reply_without_code():
    model = ScriptedModel({"worker": ["Nothing of use."], "manager": ["```\n```", f"```\n{ADMIT}\n```"]})
    answer = await coa.aio.complete(REPO, file=MASTER, line=LINE, model=model, journal=False)
    assert answer.text == ADMIT
    assert "no line of code" in model.requests[-1].messages[-1].content


async def test_small_windows_read_everything_in_parts():
    model = ScriptedModel(lambda request: "NO NEW INFORMATION" if request.role == "worker" else "pass", window=2048)
    answer = await coa.aio.complete(REPO, file=MASTER, line=LINE, model=model, journal=False)
    assert answer.coverage.chunks > 1 and answer.coverage.complete
    passages = "".join(r.inputs["passage"].text for r in model.requests if r.role == "worker")
    assert all(name in passages for name in ("def clearance", "class Ship", "class BerthTaken"))


async def test_offline_copies_the_line_after_the_most_similar_code(tmp_path: Path):
    (tmp_path / "a.py").write_text("def first(port):\n    port.open()\n    port.announce('first')\n")
    (tmp_path / "b.py").write_text("class B:\n    def second(port):\n        port.open()\n")
    answer = await coa.aio.complete(tmp_path, file="b.py", line=4, model="offline")
    assert answer.text == "        port.announce('first')"
    again = await coa.aio.resume(answer.run_id)
    assert again.text == answer.text and again.usage.calls == 0
    assert again.documents == answer.documents and again.citations == answer.citations
    (tmp_path / "a.py").write_text("def first(port):\n    port.shut()\n")
    with pytest.raises(InputChanged):
        await coa.aio.resume(answer.run_id)


async def test_a_server_on_loopback_and_a_stream_and_a_plan():
    with FaultServer(lambda prompt: f"```\n{ADMIT}\n```") as server:
        given = {"model": "openai:any", "base_url": server.base_url, "window": 2048}
        plan = await coa.aio.plan(REPO, task=completion_task(REPO, file=MASTER, line=LINE), **given)
        assert server.hits == 0 and plan.chunks > 1
        events = [event async for event in coa.stream.complete(REPO, file=MASTER, line=LINE, journal=False, **given)]
        assert isinstance(events[-1], RunFinished) and events[-1].answer.text == ADMIT
        assert server.hits == plan.calls and server.max_prompt_tokens < 2048


def test_places_that_make_no_sense(tmp_path: Path):
    (tmp_path / "a.py").write_text("x = 1\n")
    for bad in ({"line": 0}, {"line": 3}, {"line": 1, "lines": 0}, {"line": 1, "files": -1}):
        with pytest.raises(UsageError):
            completion_task(tmp_path, file="a.py", **bad)
    with pytest.raises(InputError):
        completion_task(tmp_path, file="b.py", line=1)
    with pytest.raises(UsageError):
        coa.complete(tmp_path, file="a.py", line=1, model="offline", journal=False)
