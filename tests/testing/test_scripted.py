"""A scripted model says exactly what its script says, once, and remembers what it was asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coa.errors import ContextOverflow, RateLimited, RequestRejected, UsageError
from coa.serving.base import Reply, Request
from coa.testing import ScriptedModel, check_model
from coa.testing.conformance import sample_request
from coa.testing.scripted import load_script

WORKER = sample_request()
MANAGER = replace(WORKER, role="manager")


async def texts(model: ScriptedModel, *requests: Request) -> list[str]:
    return [(await model.complete(request)).text for request in requests]


async def test_conforms() -> None:
    await check_model(lambda: ScriptedModel(lambda _: "as you say"))


async def test_a_list_is_used_up() -> None:
    model = ScriptedModel(["one", "two"])
    assert await texts(model, WORKER, MANAGER) == ["one", "two"]
    assert [request.role for request in model.requests] == ["worker", "manager"]
    model.assert_consumed()
    with pytest.raises(RequestRejected, match=r"no reply left for call 3 \(role 'worker'\)"):
        await model.complete(WORKER)


async def test_lists_by_role() -> None:
    model = ScriptedModel({"worker": ["w1", "w2"], "manager": ["m"]})
    assert await texts(model, WORKER, MANAGER) == ["w1", "m"]
    with pytest.raises(AssertionError, match="'worker': 1"):
        model.assert_consumed()
    assert await texts(model, WORKER) == ["w2"]
    model.assert_consumed()
    with pytest.raises(RequestRejected):
        await model.complete(replace(WORKER, role="judge"))


async def test_functions_plain_and_async() -> None:
    async def later(request: Request) -> str:
        return request.role

    assert await texts(ScriptedModel(lambda request: request.role.upper()), WORKER) == ["WORKER"]
    model = ScriptedModel(later)
    assert await texts(model, MANAGER) == ["manager"]
    with pytest.raises(AssertionError, match="no last reply"):
        model.assert_consumed()


async def test_errors_and_whole_replies() -> None:
    cut = Reply(text="half", finish="length", model="m", completion_tokens=9)
    model = ScriptedModel([RateLimited("busy", retry_after=2), cut, "text"])
    with pytest.raises(RateLimited) as caught:
        await model.complete(WORKER)
    assert caught.value.retry_after == 2
    assert await model.complete(WORKER) is cut
    reply = await model.complete(WORKER)
    assert reply.finish == "stop" and reply.prompt_tokens > 0 and reply.completion_tokens > 0
    await model.close()
    assert model.closed


async def test_scripts_in_files(tmp_path: Path) -> None:
    overflow = {"error": "ContextOverflow", "message": "too long", "limit": 10, "actual": 20}
    cut = {"text": "half", "finish": "length", "completion_tokens": 3}
    (tmp_path / "list.json").write_text(json.dumps(["one", cut, overflow]))
    model = load_script(str(tmp_path / "list.json"))
    assert await texts(model, WORKER) == ["one"]
    assert (await model.complete(WORKER)).finish == "length"
    with pytest.raises(ContextOverflow, match="too long") as caught:
        await model.complete(WORKER)
    assert (caught.value.limit, caught.value.actual) == (10, 20)

    (tmp_path / "lines.jsonl").write_text('"a\\u2028b"\n\n"c"\n', "utf-8")
    assert await texts(load_script(str(tmp_path / "lines.jsonl")), WORKER, WORKER) == ["a\u2028b", "c"]

    (tmp_path / "roles.json").write_text(json.dumps({"worker": ["w"], "manager": ["m"]}))
    assert await texts(load_script(str(tmp_path / "roles.json")), MANAGER, WORKER) == ["m", "w"]

    rules = [{"role": "manager", "reply": "end"}, {"contains": "letter", "reply": "found"}]
    (tmp_path / "rules.json").write_text(json.dumps({"rules": rules}))
    model = load_script(str(tmp_path / "rules.json"), window=512)
    assert await texts(model, WORKER, WORKER, MANAGER) == ["found", "found", "end"]
    assert model.window == 512
    with pytest.raises(RequestRejected, match="no rule"):
        await model.complete(Request(messages=(), role="judge"))


async def test_built_in_speakers() -> None:
    request = sample_request("FACT-3 and FACT-1 and FACT-3")
    assert await texts(load_script("facts"), request) == ["Known: FACT-3 FACT-1"]
    [echoed] = await texts(load_script("echo"), request)
    assert echoed.endswith("Where was the letter?")


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "3",
        "[3]",
        '{"worker": "text"}',
        '[{"error": "InputNotFound"}]',
        '[{"error": "NoSuchError"}]',
        '[{"error": "RateLimited", "colour": "red"}]',
        '[{"text": "x", "finish": "maybe"}]',
        '[{"text": "x", "colour": "red"}]',
        '{"rules": [{"contains": "x"}]}',
        '{"rules": {}}',
    ],
)
def test_a_file_that_is_no_script(tmp_path: Path, content: str) -> None:
    path = tmp_path / "script.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="is not right") as caught:
        load_script(str(path))
    assert "A script is" in caught.value.hint


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    for name in ("missing.json", "latin.json", "."):
        with pytest.raises(UsageError, match="cannot read"):
            load_script(str(tmp_path / name))
