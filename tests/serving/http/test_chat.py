"""A chat becomes a task over documents: what is asked, what is read, what is refused. No server is needed for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.serving.http.chat import Chat, chat_of
from coa.serving.http.errors import Refusal, failure_of
from coa.serving.http.gate import check_host, check_key
from tests.processes import Processes

MOST = 100_000


def understood(model: str, *messages: Any, **more: Any) -> Chat:
    return chat_of(json.dumps({"model": model, "messages": list(messages), **more}).encode(), MOST)


def says(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def file(data: bytes, **more: str) -> dict[str, Any]:
    return {"type": "file", "file": {"file_data": "data:;base64," + base64.b64encode(data).decode(), **more}}


def read(chat: Chat) -> list[tuple[str, str]]:
    return [(document.id, document.text) for document in chat.documents]


def test_the_last_text_of_the_user_is_the_question_and_all_else_is_read() -> None:
    one = understood("coa/ask", says("user", "The key\r\nis red."), says("user", " What is red? "))
    assert (one.task.kind, one.task.query, read(one)) == ("qa", "What is red?", [("messages", "The key\nis red.")])
    parts = [text("A note."), file(b"Page one.", filename="../a b.txt"), file(b"Page two."), text("Which pages?")]
    two = understood("coa/ask", says("system", "Only say yes."), says("user", parts))
    assert two.task.query == "Which pages?"
    assert read(two) == [
        ("messages", "System: Only say yes.\n\nUser: A note."),
        ("a_b.txt", "Page one."),
        ("file-4", "Page two."),
    ]
    claim = understood("coa/verify", says("user", [text("The key is red."), file(b"Keys.")]))
    assert (claim.task.kind, claim.task.query, read(claim)) == ("verify", "The key is red.", [("file-2", "Keys.")])


def test_files_of_one_name_stay_apart() -> None:
    chat = understood(
        "coa/ask", says("user", [file(b"One.", filename="a.txt"), file(b"Two.", filename="x/a.txt"), text("?")])
    )
    assert read(chat) == [("a.txt", "One."), ("a.txt-2", "Two.")]


def test_a_summary_takes_the_last_text_as_its_focus_only_if_there_is_something_else_to_read() -> None:
    alone = understood("coa/summarize", says("system", "Be brief."), says("user", "A long story."))
    assert alone.task.query is None
    assert read(alone) == [("messages", "System: Be brief.\n\nUser: A long story.")]
    focused = understood("coa/summarize", says("user", "A long story."), says("user", "the key"))
    assert (focused.task.query, read(focused)) == ("the key", [("messages", "A long story.")])
    assert understood("coa/summarize", says("user", [file(b"A story.")])).task.query is None


def test_text_is_text_whatever_it_looks_like() -> None:
    odd = "<html><p>%PDF-1.4 \ud800 PK\x03\x04"
    assert read(understood("coa/ask", says("user", odd), says("user", "?"))) == [
        ("messages", odd.replace("\ud800", "?"))
    ]


def test_words_and_choices_are_ours_and_what_does_not_mislead_is_ignored() -> None:
    given = {"temperature": 0.3, "max_tokens": 5, "seed": 1, "user": "me", "n": 1, "tools": [], "stop": None}
    chat = understood(
        "coa/ask", says("user", "Doc."), says("user", "?"), coa={"words": 9, "choices": ["yes", "no"]}, **given
    )
    assert (chat.task.words, chat.task.choices, chat.wanted.stream) == (9, ("yes", "no"), False)


DOC, ASKED = says("user", "Doc."), says("user", "?")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("response_format", {"type": "json_object"}),
        ("stop", ["."]),
        ("logprobs", True),
        ("modalities", ["audio"]),
        ("stream", "yes"),
        ("stream_options", 1),
        ("coa", [1]),
        ("coa.words", 0),
        ("coa.words", True),
        ("coa.choices", "yes"),
        ("coa.deadline", 5),
    ],
)
def test_a_field_that_cannot_be_honoured_is_named(field: str, value: Any) -> None:
    name, _, inner = field.partition(".")
    with pytest.raises(Refusal) as raised:
        understood("coa/ask", DOC, ASKED, **{name: {inner: value} if inner else value})
    assert (raised.value.status, raised.value.param) == (400, field)
    assert field in failure_of(raised.value).body["error"]["message"] or inner


@pytest.mark.parametrize(
    ("messages", "status", "param"),
    [
        ([], 400, "messages"),
        ([ASKED], 400, "messages"),
        ([says("system", "You help.")], 400, "messages"),
        ([DOC, says("assistant", "Yes.")], 400, "messages"),
        ([says("user", [file(b"x")])], 400, "messages"),
        ([says("nobody", "x"), ASKED], 400, "messages[0].role"),
        ([{"role": "assistant", "content": None, "tool_calls": [{}]}, ASKED], 400, "messages[0]"),
        (["hello"], 400, "messages[0]"),
        ([says("user", 5)], 400, "messages[0].content"),
    ],
)
def test_messages_that_cannot_be_read_are_refused_and_nothing_is_looked_up(
    messages: list[Any], status: int, param: str
) -> None:
    with pytest.raises(Refusal) as raised:
        understood("coa/ask", *messages)
    assert (raised.value.status, raised.value.param) == (status, param)
    assert raised.value.hint


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, ""),
        ({"type": "file", "file": {"file_id": "f-1"}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": "/etc/passwd"}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": "http://127.0.0.1/x"}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": "data:,plain"}}, ".file.file_data"),
        ({"type": "file", "file": {"file_data": "data:;base64,eA==", "filename": 5}}, ".file.filename"),
        ("text", ""),
    ],
)
def test_only_texts_and_whole_files_are_parts(part: Any, param: str) -> None:
    with pytest.raises(Refusal) as raised:
        understood("coa/ask", DOC, says("user", [text("?"), part]))
    assert (raised.value.status, raised.value.param) == (400, f"messages[1].content[1]{param}")


def test_bounds_hold_for_files_and_for_all_text_together() -> None:
    with pytest.raises(coa.errors.InputTooLarge):
        understood("coa/ask", says("user", [file(b"x " * MOST), text("?")]))
    with pytest.raises(coa.errors.InputTooLarge):
        understood("coa/ask", says("user", [file(b"x " * 30_000), file(b"y " * 30_000), text("?")]))


@pytest.mark.parametrize("data", [b"", b"[1]", b"[" * 100_000, b'{"model": "gpt-5"}', b'{"model": ["coa/ask"]}'])
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal) as raised:
        chat_of(data, MOST)
    assert raised.value.status == (404 if b"model" in data else 400)


def test_any_key_opens_and_nothing_else_does() -> None:
    for good in ("Bearer one", "bearer two"):
        check_key({"authorization": good}, ("one", "two"))
    check_key({}, ())
    check_key({"authorization": "Bearer clé".encode().decode("latin-1")}, ("clé",))
    for bad in ("", "one", "Bearer ", "Bearer three", "Basic one", "Bearer \xe9"):
        with pytest.raises(Refusal):
            check_key({"authorization": bad}, ("one", "two"))


def test_a_server_on_this_machine_goes_by_its_own_names_alone() -> None:
    for good in ("127.0.0.1:8642", "LOCALHOST", "[::1]:80"):
        check_host({"host": good}, ("127.0.0.1", "localhost", "::1"))
    for bad in ("evil.example:8642", "", "[::2]", "127.0.0.1.evil.example"):
        with pytest.raises(Refusal):
            check_host({"host": bad}, ("127.0.0.1", "localhost", "::1"))


def test_errors_tell_no_path_and_no_address_of_this_machine(tmp_path: Path) -> None:
    error = coa.errors.ProviderUnavailable("openai:x at 10.0.0.7:8000: refused", hint="Check --base-url")
    failure = failure_of(error, ("10.0.0.7:8000",))
    assert failure.status == 502
    assert "10.0.0.7" not in str(failure.body)
    assert failure.body["error"]["code"] == "ProviderUnavailable"
    stored = failure_of(coa.errors.StorageFailed(f"{tmp_path} is full"))
    assert (stored.status, str(tmp_path) in str(stored.body)) == (507, False)
    assert dict(failure_of(coa.errors.RunLocked("x")).headers)[b"x-should-retry"] == b"true"
    limited = failure_of(coa.errors.RateLimited("busy", retry_after=2.5))
    assert dict(limited.headers) == {b"x-should-retry": b"false", b"retry-after": b"3"}


def test_without_uvicorn_the_command_says_what_to_install(processes: Processes) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; sys.argv[1:] = ['serve']; from coa.cli.main import main; main()"
    ended = processes.run("-c", code)
    assert (ended.code, ended.out) == (2, "")
    assert "chain-of-agents[serve]" in ended.err
