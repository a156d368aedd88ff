"""The example RAG backend: a real uvicorn on loopback, and clients that do what clients do."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

import coa
from coa.testing.fault import FAULTS, Fault
from coa.testing.faults import FaultServer

pytestmark = pytest.mark.slow
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

ROOT = Path(__file__).parents[2]
LOG = ROOT / "examples" / "documents" / "lighthouse_log.txt"
QUESTION = "Who keeps the light on Gull Stack?"


class Client:
    def __init__(self, port: int) -> None:
        self.port = port

    def send(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> tuple[int, Any]:
        with self.opened(method, path, body) as response:
            data = response.read()
            events = response.headers.get("content-type", "").startswith("text/event-stream")
            return response.status, json.loads(data) if data and not events else None

    def ask(self, **body: Any) -> list[tuple[str, dict[str, Any]]]:
        with self.opened("POST", "/ask", body) as response:
            assert response.status == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            found = re.findall(r"event: (\w+)\ndata: (.*)\n\n", response.read().decode())
        return [(name, json.loads(data)) for name, data in found]

    @contextmanager
    def opened(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            connection.request(method, path, data, headers)
            yield connection.getresponse()
        finally:
            connection.close()


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Client]:
    command = [sys.executable, str(ROOT / "examples" / "rag_service" / "service.py"), "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", "0", *options], stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
            break
    else:
        raise AssertionError(said)
    try:
        yield Client(int(found[1]))
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(tmp_path_factory.mktemp("service") / "lib", "--upload-bytes", "1000000") as client:
        assert client.send("PUT", "/documents/folder/log.txt", LOG.read_bytes())[0] == 201
        yield client


def test_what_is_put_in_is_found_word_for_word(client: Client) -> None:
    status, hits = client.send("GET", f"/search?{urlencode({'q': QUESTION, 'k': 3})}")
    text = coa.load(LOG).text
    assert status == 200
    assert len(hits) == 3
    assert all(text[hit["start"] : hit["end"]] == hit["quote"] and hit["parts"] for hit in hits)
    assert client.send("PUT", "/documents/folder/log.txt", LOG.read_bytes())[1]["indexed"] is False
    name = quote("a & b — «c».txt")
    assert client.send("PUT", f"/documents/{name}", b"Zeppelins are rare.")[1]["indexed"]
    assert [hit["path"] for hit in client.send("GET", "/search?q=zeppelin")[1]] == ["a & b — «c».txt"]
    where = urlencode({"q": "zeppelin", "where": json.dumps({"path": "folder/log.txt"})})
    assert client.send("GET", f"/search?{where}") == (200, [])
    assert [one["path"] for one in client.send("GET", "/documents")[1]] == ["a & b — «c».txt", "folder/log.txt"]
    assert client.send("DELETE", f"/documents/{name}") == (204, None)
    assert client.send("GET", "/search?q=zeppelin") == (200, [])


def test_an_answer_comes_as_events_with_citations_and_is_not_worked_out_twice(client: Client) -> None:
    events = client.ask(question=QUESTION, retrieve=1_000)
    names = [name for name, _ in events]
    assert names[0] == "started"
    assert names[-1] == "answer"
    assert "step" in names
    answer = events[-1][1]
    assert "Martha Quill" in answer["text"]
    text = coa.load(LOG).text
    assert answer["citations"]
    assert all(text[one["start"] : one["end"]] == one["quote"] for one in answer["citations"])
    again = client.ask(question=QUESTION, retrieve=1_000)[-1][1]
    assert again["text"] == answer["text"]
    assert again["usage"]["calls"] == 0 < again["usage"]["calls_from_journal"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/search?q=%20", None, 400, "UsageError"),
        ("GET", "/search?q=x&k=0", None, 400, "UsageError"),
        ("GET", "/search?q=x&where=1", None, 400, "UsageError"),
        ("GET", "/search?q=x&where=%7Bx", None, 400, "UsageError"),
        ("GET", "/search?q=x&where=%7B%22a%20b%22%3A1%7D", None, 400, "UsageError"),
        ("DELETE", "/documents/none", None, 404, "InputNotFound"),
        ("PUT", "/documents/big.txt", b"word " * 300_000, 413, "InputTooLarge"),
        ("PUT", "/documents/blob.txt", bytes(range(256)) * 50, 415, "UnsupportedFormat"),
        ("PUT", "/documents/blank.txt", b"  \n ", 422, "EmptyDocument"),
        ("PUT", "/documents/broken.pdf", b"%PDF-1.4 broken", 422, "CorruptFile"),
        ("POST", "/ask", {"question": "  "}, 400, "UsageError"),
        ("POST", "/ask", {"question": "x", "retrieve": 0}, 400, "UsageError"),
        ("POST", "/ask", {"question": "x", "model": "openai:dear"}, 400, "UsageError"),
        ("POST", "/ask", {"question": "zeppelin zither"}, 422, "EmptyDocument"),
    ],
)
def test_errors_are_typed_and_have_a_status(
    client: Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    got, said = client.send(method, path, body)
    assert (got, said["error"]) == (status, code)
    assert said["message"]
    assert said["hint"]


def test_a_budget_ends_the_run_with_a_typed_event(client: Client) -> None:
    name, error = client.ask(question="What does the log say about lamp oil?", max_calls=0)[-1]
    assert (name, error["error"], error["status"]) == ("error", "BudgetExceeded", 402)
    name, error = client.ask(question="What does the log say about the storm?", deadline=1e-6)[-1]
    assert (name, error["error"], error["status"]) == ("error", "DeadlineExceeded", 504)


def test_a_models_words_come_piece_by_piece_and_its_failures_as_events(tmp_path: Path) -> None:
    with FaultServer("The keeper is Martha Quill, and nobody else has the key to the tower.") as model:
        options = ("--model", "openai:test", "--base-url", model.base_url)
        with served(tmp_path / "lib", *options) as client:
            client.send("PUT", "/documents/log.txt", LOG.read_bytes())
            events = client.ask(question=QUESTION, retrieve=500)
            pieces = [data["text"] for name, data in events if name == "text"]
            assert len(pieces) > 1
            assert "Martha Quill" in "".join(pieces)
            assert events[-1][0] == "answer"
            model.faults = lambda _, body: Fault(status=401, message="no such key")
            name, error = client.ask(question="Another question about the keeper?", retrieve=500)[-1]
            assert (name, error["error"], error["status"]) == ("error", "AuthenticationFailed", 502)


def test_a_client_that_goes_away_ends_its_run_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    with FaultServer("The keeper is Martha Quill.") as model:
        model.faults = lambda index, _: FAULTS["hang"] if index == 1 else None
        options = ("--model", "openai:test", "--base-url", model.base_url)
        with served(tmp_path / "lib", *options) as client:
            client.send("PUT", "/documents/log.txt", LOG.read_bytes())
            with client.opened("POST", "/ask", {"question": QUESTION, "retrieve": 500}) as response:
                while b"event: call" not in response.readline():
                    pass
                until(lambda: model.in_flight == 1 and model.hits == 2)
            model.faults = ()
            # While the run goes on nobody else may take it up.
            until(lambda: client.send("POST", "/ask", {"question": QUESTION, "retrieve": 500})[0] == 200)
            again = client.ask(question=QUESTION, retrieve=500)[-1][1]
            assert (again["usage"]["calls"], again["usage"]["calls_from_journal"]) == (0, 2)
            assert model.hits == 3
            assert "Martha Quill" in again["text"]


def until(holds: Any) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
