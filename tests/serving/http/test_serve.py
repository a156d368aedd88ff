"""`coa serve` as clients see it: the real command on loopback, raw HTTP, curl's way, and OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.runtime.limiter import Limiter
from coa.serving.http.app import MB, App
from coa.serving.http.chat import chat_of
from coa.serving.http.replying import Runner
from coa.serving.http.wire import BEAT, DONE
from coa.testing import FAULTS, FaultServer
from coa.testing.fault import Fault
from tests.processes import Ended, Process, Processes

pytestmark = pytest.mark.slow
pytest.importorskip("uvicorn", reason="needs the extra serve: the full test run installs it")

LOG = Path(__file__).parents[3] / "examples" / "documents" / "lighthouse_log.txt"
QUESTION = "Who keeps the light on Gull Stack?"
JSON = {"Content-Type": "application/json"}
CHAT = "/v1/chat/completions"


class Client:
    """Raw HTTP, without a library that mends what is wrong."""

    def __init__(self, address: str, process: Process) -> None:
        self.address, self.process = address, process
        self.host = address.split("/")[2]

    @contextmanager
    def opened(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self.host, timeout=60)
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            connection.request(method, path, data, JSON if headers is None else headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def send(self, *arguments: Any, **more: Any) -> tuple[int, Any]:
        with self.opened(*arguments, **more) as response:
            return response.status, json.loads(response.read())

    def ask(self, body: dict[str, Any]) -> tuple[int, Any]:
        return self.send("POST", CHAT, body)

    def openai(self, **more: Any) -> Any:
        from openai import OpenAI

        return OpenAI(**{"base_url": self.address, "api_key": "none", "timeout": 60, **more})


@contextmanager
def served(processes: Processes, folder: Path, *options: str, **env: str) -> Iterator[Client]:
    arguments = ("-m", "coa", "serve", "--port", "0", "--run-dir", folder, *options)
    process = processes.start(*arguments, env=env)
    address = process.out.readline().strip()
    if not address:
        raise AssertionError(process.end().err)
    client = Client(address, process)
    try:
        yield client
    finally:
        if client.process is process:
            stop(client)


def stop(client: Client, number: signal.Signals = signal.SIGTERM) -> Ended:
    process, client.process = client.process, None  # type: ignore[assignment]
    process.signal(number)
    ended = process.end(longest=30)
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert "Traceback" not in ended.err
    return ended


@contextmanager
def with_model(processes: Processes, folder: Path, model: FaultServer, *options: str) -> Iterator[Client]:
    named = ("--model", "openai:test", "--base-url", model.base_url, "--window", "2048", "--concurrency", "1")
    with served(processes, folder, *named, *options, OPENAI_API_KEY="secret") as client:
        yield client


@pytest.fixture(scope="module")
def client(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    options = ("--model", "offline", "--window", "4096", "--max-body", "1", "--quiet")
    with served(processes, tmp_path_factory.mktemp("served"), *options) as client:
        yield client


def request(data: bytes | None = None, question: str = QUESTION, model: str = "coa/ask", **more: Any) -> dict[str, Any]:
    encoded = base64.b64encode(LOG.read_bytes() if data is None else data).decode()
    file = {"type": "file", "file": {"filename": "log.txt", "file_data": f"data:text/plain;base64,{encoded}"}}
    content = [file, {"type": "text", "text": question}]
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def events(response: http.client.HTTPResponse) -> list[Any]:
    lines = [line for line in response.read().decode().split("\n\n") if line and not line.startswith(":")]
    return [line if (line := each.removeprefix("data: ")) == "[DONE]" else json.loads(line) for each in lines]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_is_asked_about_and_the_reply_cites_it_to_the_letter(client: Client) -> None:
    status, reply = client.ask(request())
    assert status == 200
    (choice,), told = reply["choices"], reply["coa"]
    assert choice["finish_reason"] == "stop"
    assert "Martha Quill" in choice["message"]["content"] == told["text"]
    assert (reply["object"], reply["model"], told["status"]) == ("chat.completion", "coa/ask", "complete")
    text = coa.load(LOG).text
    assert told["citations"]
    assert all(text[one["start"] : one["end"]] == one["quote"] for one in told["citations"])
    again = client.ask(request())[1]
    assert again["coa"]["text"] == told["text"]
    assert again["coa"]["usage"]["calls"] == 0 < again["coa"]["usage"]["calls_from_journal"]


def test_a_stream_holds_the_same_text_the_progress_and_the_end(client: Client) -> None:
    whole = client.ask(request())[1]
    with client.opened("POST", CHAT, request(stream=True, stream_options={"include_usage": True})) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        *chunks, usage, end = events(response)
    assert end == "[DONE]"
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 0)
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(chunk["usage"] is None for chunk in chunks)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0]["role"] == "assistant"
    assert "".join(delta.get("content", "") for delta in deltas) == whole["coa"]["text"]
    done = [chunk["coa"]["progress"]["done"] for chunk in chunks if "progress" in chunk.get("coa", {})]
    assert done == list(range(1, len(done) + 1)) != []
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[-1]["coa"]["citations"] == whole["coa"]["citations"]


def test_openais_client_lists_asks_streams_and_gets_typed_errors(client: Client) -> None:
    from openai import BadRequestError, NotFoundError

    with client.openai() as ours:
        assert [each.id for each in ours.models.list()] == ["coa/ask", "coa/summarize", "coa/verify"]
        assert ours.models.retrieve("coa/ask").owned_by == "coa"
        asked = request(temperature=0.2, max_tokens=100)
        reply = ours.chat.completions.create(**asked)
        assert "Martha Quill" in (reply.choices[0].message.content or "")
        assert reply.coa["status"] == "complete"
        with ours.chat.completions.create(**asked, stream=True) as chunks:
            pieces = [chunk.choices[0].delta.content or "" for chunk in chunks]
        assert "".join(pieces) == reply.choices[0].message.content
        story = [{"role": "user", "content": LOG.read_text()}, {"role": "user", "content": "Martha Quill"}]
        brief = ours.chat.completions.create(model="coa/summarize", messages=story, extra_body={"coa": {"words": 60}})
        assert brief.coa["citations"][0]["doc"] == "messages"
        with pytest.raises(BadRequestError) as bad:
            ours.chat.completions.create(**{**asked, "n": 2})
        assert (bad.value.param, bad.value.code) == ("n", "UsageError")
        with pytest.raises(NotFoundError) as none:
            ours.chat.completions.create(**{**asked, "model": "gpt-5"})
        assert "coa/ask" in none.value.message


async def test_openais_async_client_asks_several_at_once(client: Client) -> None:
    from openai import AsyncOpenAI

    async def streamed(ours: AsyncOpenAI, question: str) -> str:
        chunks = await ours.chat.completions.create(**request(question=question), stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

    async with AsyncOpenAI(base_url=client.address, api_key="none", timeout=60) as ours:
        whole = ours.chat.completions.create(**request())
        reply, keeper, dog = await asyncio.gather(whole, streamed(ours, "Who is she?"), streamed(ours, "Who is Bosun?"))
    assert "Martha Quill" in reply.choices[0].message.content
    assert keeper and "Bosun" in dog


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/none", None, 404, "NotFound"),
        ("GET", CHAT, None, 404, "NotFound"),
        ("GET", "/v1/models/gpt-5", None, 404, "NotFound"),
        ("POST", CHAT, b"{", 400, "UsageError"),
        ("POST", CHAT, request(b" "), 422, "EmptyDocument"),
        ("POST", CHAT, request(b"%PDF-1.4 broken"), 422, "CorruptFile"),
        ("POST", CHAT, request(bytes(range(256)) * 50), 415, "UnsupportedFormat"),
        ("POST", CHAT, request(coa={"choices": ["a"]}), 400, "UsageError"),
        ("POST", CHAT, request(question="why " * 9000), 400, "WindowTooSmall"),
        ("POST", CHAT, request(b"x " * 600_000), 413, "InputTooLarge"),
        ("POST", CHAT, (b"x" * 100_000 for _ in range(20)), 413, "InputTooLarge"),
    ],
)
def test_errors_are_openais_objects_with_a_status_and_no_path(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    got, said = client.send(method, path, body)
    assert (got, said["error"]["code"]) == (status, code)
    assert said["error"]["type"] == "invalid_request_error"
    assert "Hint: " in said["error"]["message"]
    assert str(Path.cwd()) not in str(said) and "Traceback" not in str(said)


def test_what_a_page_in_a_browser_could_send_is_refused(client: Client) -> None:
    as_form = {"Content-Type": "text/plain"}
    assert client.send("POST", CHAT, request(), headers=as_form)[0] == 415
    assert client.send("GET", "/v1/models", headers={"Host": "evil.example:80"})[0] == 403
    with client.opened("OPTIONS", CHAT, headers={"Origin": "http://evil.example"}) as response:
        assert "access-control-allow-origin" not in response.headers


def test_a_key_is_asked_for_and_health_needs_none(processes: Processes, tmp_path: Path) -> None:
    keys = ("--api-key-env", "FIRST", "--api-key-env", "SECOND")
    with served(processes, tmp_path, "--model", "offline", *keys, FIRST="one", SECOND="two") as client:
        assert client.send("GET", "/health") == (200, {"status": "ok"})
        for headers in ({}, {"Authorization": "Bearer three"}):
            status, said = client.send("GET", "/v1/models", headers=headers)
            assert (status, said["error"]["code"], said["error"]["type"]) == (401, "InvalidKey", "authentication_error")
        for key in ("one", "two"):
            with client.openai(api_key=key) as ours:
                assert len(list(ours.models.list())) == 3
        status, _ = client.send("GET", "/v1/models", headers={"Authorization": "Bearer one", "Host": "docs.example"})
        assert status == 200  # A proxy may pass its own name on.
        assert "one" not in stop(client).err.split()


def test_options_that_make_no_sense_end_the_command(coa: Callable[..., Ended]) -> None:
    for arguments, said in (
        (("--host", "0.0.0.0"), "--without-key"),
        (("--api-key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
        (("--topology", "ring"), "ring"),
        (("--host", "192.0.2.1"), "cannot listen"),
        (("--prompts", "/no/such/folder"), "/no/such/folder"),
    ):
        ended = coa(
            "serve",
            "--model",
            "offline",
            "--port",
            "0",
            *arguments,
            *(("--without-key",) if "192" in arguments[1] else ()),
        )
        assert (ended.code, ended.out) == (2, "")
        assert said in ended.err


def test_a_model_that_fails_is_a_502_and_is_not_asked_again_by_the_client(processes: Processes, tmp_path: Path) -> None:
    from openai import APIError, APIStatusError

    with FaultServer("facts") as model, with_model(processes, tmp_path, model, "--retries", "0") as client:
        model.faults = lambda *_: Fault(status=401, message="no such key")
        with client.openai(max_retries=2) as ours:
            with pytest.raises(APIStatusError) as raised:
                ours.chat.completions.create(**request())
            assert (raised.value.status_code, raised.value.code) == (502, "AuthenticationFailed")
            assert model.hits == 1
            assert model.base_url not in raised.value.message and "secret" not in raised.value.message
            with pytest.raises(APIError) as streamed, ours.chat.completions.create(**request(), stream=True) as chunks:
                list(chunks)
            assert streamed.value.code == "AuthenticationFailed"
        assert "AuthenticationFailed" in stop(client).err


def test_a_limit_is_a_402_and_a_deadline_a_504(processes: Processes, tmp_path: Path) -> None:
    with FaultServer("facts") as model:
        with with_model(processes, tmp_path / "a", model, "--max-calls", "1") as client:
            status, said = client.ask(request())
            assert (status, said["error"]["code"]) == (402, "BudgetExceeded")
        model.faults = lambda *_: FAULTS["hang"]
        with with_model(processes, tmp_path / "b", model, "--deadline", "0.5") as client:
            status, said = client.ask(request())
            assert (status, said["error"]["code"]) == (504, "DeadlineExceeded")


def test_a_part_that_was_refused_makes_the_reply_partial_and_the_tokens_are_counted(
    processes: Processes, tmp_path: Path
) -> None:
    with FaultServer("facts") as model, with_model(processes, tmp_path, model, "--retries", "0") as client:
        model.faults = lambda _, body: FAULTS["refusal"] if "UNSPEAKABLE" in json.dumps(body) else None
        status, reply = client.ask(request(LOG.read_bytes() + b"\n\nUNSPEAKABLE things."))
        assert (status, reply["choices"][0]["finish_reason"], reply["coa"]["status"]) == (200, "stop", "partial")
        assert reply["coa"]["coverage"]["failed"]
        spent, usage = reply["coa"]["usage"], reply["usage"]
        assert usage["prompt_tokens"] == spent["prompt_tokens"] > 0
        assert usage["total_tokens"] == spent["prompt_tokens"] + spent["completion_tokens"]


def test_support_without_evidence_is_shown_as_not_found(processes: Processes, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"worker": ["Nothing here."], "manager": ["SUPPORTED\nIt is so."]}))
    with served(processes, tmp_path / "runs", "--model", f"scripted:{script}") as client:
        status, reply = client.ask(request(b"The key is red.", "The key is blue.", "coa/verify"))
        assert (status, reply["coa"]["verdict"]) == (200, "not found")
        assert reply["choices"][0]["message"]["content"] == "NOT FOUND\nIt is so."
        # A script without a reply: the model's failure is told without the path that is its name.
        script.write_text(json.dumps({"worker": [], "manager": []}))
        status, said = client.ask(request(b"The key is red.", "The key is green.", "coa/verify"))
        assert (status, said["error"]["code"]) == (502, "RequestRejected")
        assert str(tmp_path) not in json.dumps(said)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_ends_its_run_and_pays_for_nothing_twice(
    processes: Processes, tmp_path: Path, stream: bool
) -> None:
    with FaultServer("The keeper is Martha Quill.") as model, with_model(processes, tmp_path, model) as client:
        model.faults = lambda index, _: FAULTS["hang"] if index == 1 else None
        connection = http.client.HTTPConnection(client.host, timeout=60)
        connection.request("POST", CHAT, json.dumps(request(stream=stream)).encode(), JSON)
        until(lambda: model.hits == 2 and model.in_flight == 1)
        connection.sock.close()
        model.faults = ()
        # Until the run has ended nobody else may take it up: without an end the request would be refused for good.
        replies: list[Any] = []
        until(lambda: replies.append(client.ask(request())) or replies[-1][0] == 200)
        usage = replies[-1][1]["coa"]["usage"]
        assert usage["calls_from_journal"] == 1
        assert model.hits == 2 + usage["calls"]
        assert "hung up" in stop(client).err


def test_two_requests_are_answered_side_by_side_and_one_too_many_is_told_to_come_again(
    processes: Processes, tmp_path: Path
) -> None:
    with FaultServer("The keeper is Martha Quill.", latency=0.3) as model:
        options = ("--requests", "2", "--concurrency", "4")
        with with_model(processes, tmp_path, model, *options) as client, ThreadPoolExecutor(2) as both:
            asked = [both.submit(client.ask, request(question=each)) for each in (QUESTION, "Who is Bosun?")]
            until(lambda: model.max_in_flight == 2)
            with client.opened("POST", CHAT, request(question="What burns?")) as response:
                assert (response.status, response.headers["x-should-retry"]) == (429, "true")
                assert json.loads(response.read())["error"]["code"] == "TooManyRequests"
            assert [each.result()[0] for each in asked] == [200, 200]
            assert client.ask(request(question="What burns?"))[0] == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_runs_tells_their_clients_and_keeps_what_was_paid(
    processes: Processes, tmp_path: Path, number: signal.Signals, stream: bool
) -> None:
    with FaultServer("The keeper is Martha Quill.") as model, ThreadPoolExecutor(1) as waiting:
        model.faults = lambda index, _: FAULTS["hang"] if index == 1 else None
        with with_model(processes, tmp_path, model) as client:

            def ask() -> tuple[int, Any]:
                with client.opened("POST", CHAT, request(stream=stream)) as response:
                    return response.status, events(response)[-1]

            asked = waiting.submit(ask)
            until(lambda: model.hits == 2 and model.in_flight == 1)
            stop(client, number)
            status, last = asked.result()
            assert (status, last["error"]["code"]) == (200 if stream else 503, "ServerStopping")
        model.faults = ()
        with with_model(processes, tmp_path, model) as client:
            assert client.ask(request())[1]["coa"]["usage"]["calls_from_journal"] == 1


def test_the_keys_of_the_machine_are_not_the_clients(processes: Processes, tmp_path: Path) -> None:
    """What the model's server is sent is the server's key, never the client's."""
    with FaultServer("facts") as model, with_model(processes, tmp_path, model) as client:
        with client.openai(api_key="clients-own") as ours:
            ours.chat.completions.create(**request(b"The key is red.", "What is red?"))
        assert {headers["authorization"] for headers in model.headers} == {"Bearer secret"}
    assert "OPENAI_API_KEY" not in os.environ


async def test_a_stream_that_waits_for_its_model_shows_that_it_is_alive(tmp_path: Path) -> None:
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async with FaultServer("facts", latency=0.5) as model:
        settings = coa.Settings(model="openai:test", base_url=model.base_url, run_dir=tmp_path, window=4096)
        runner = Runner(settings=settings, limiter=Limiter(1), silence=0.1)
        await runner.reply(chat_of(json.dumps(request(b"The key is red.", stream=True)).encode(), MB), receive, send)
    assert sent.count(BEAT) >= 3
    assert sent[-2:] == [DONE, b""]
    assert not runner.running


async def test_what_nobody_foresaw_is_a_500_without_a_word_about_it(tmp_path: Path) -> None:
    sent: list[Any] = []
    said: list[str] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise RuntimeError(f"secret of {tmp_path}")

    app = App(coa.Settings(model="offline"), log=said.append)
    headers = [(b"content-type", b"application/json")]
    await app({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["error"]["code"] == "InternalError"
    assert "secret" not in str(sent) + str(said) and "RuntimeError" in said[0]
