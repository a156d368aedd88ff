"""The fault server does what its script says: seen from a plain socket, without any client library."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from coa.testing import FAULTS, Fault, FaultServer
from coa.testing.fault import TRANSIENT, rate_limited
from coa.testing.vendors import VENDORS

Answer = tuple[int, dict[str, str], Any]


def post(base_url: str, prompt: str = "hello", **fields: Any) -> Answer:
    body = {"model": "test", "messages": [{"role": "user", "content": prompt}], **fields}
    request = urllib.request.Request(f"{base_url}/chat/completions", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, dict(response.headers), json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.loads(error.read())


def get(server: FaultServer, path: str) -> Any:
    with urllib.request.urlopen(server.base_url + path, timeout=10) as response:
        return json.loads(response.read())


async def raw(server: FaultServer, **fields: Any) -> bytes:
    """Everything that the server sends until it ends the connection."""
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}], **fields}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    try:
        return await asyncio.wait_for(reader.read(), 5)
    finally:
        writer.close()


def text_of(answer: Answer) -> str:
    return answer[2]["choices"][0]["message"]["content"]


def test_in_a_thread_with_all_ways_to_speak() -> None:
    for reply, said in (("Fixed.", "Fixed."), ("echo", "FACT-2 x FACT-1 FACT-2"), ("facts", "Known: FACT-2 FACT-1")):
        with FaultServer(reply) as server:
            assert text_of(post(server.base_url, "FACT-2 x FACT-1 FACT-2")) == said
    with FaultServer(str.upper) as server:
        assert text_of(post(server.base_url, "loud")) == "LOUD"


def test_script_then_healthy_and_counters() -> None:
    with FaultServer("Yes.", faults=[FAULTS["503"], None, rate_limited("3")]) as server:
        answers = [post(server.base_url) for _ in range(4)]
        stats = get(server, "/stats")
    assert [status for status, _, _ in answers] == [503, 200, 429, 200]
    assert answers[2][1]["Retry-After"] == "3"
    assert (server.hits, len(server.requests)) == (4, 4)
    assert (stats["hits"], stats["statuses"]) == (4, {"503": 1, "200": 2, "429": 1})


def test_a_script_may_be_a_function() -> None:
    with FaultServer(faults=lambda index, body: FAULTS["500"] if "bad" in str(body) and index else None) as server:
        assert [post(server.base_url, text)[0] for text in ("bad", "bad", "good")] == [200, 500, 200]


def _statuses(seed: int, prompts: list[str]) -> dict[str, list[int]]:
    with FaultServer(fault_rate=0.4, random_faults=[FAULTS["500"], FAULTS["503"]], seed=seed) as server:
        found: dict[str, list[int]] = {}
        for prompt in prompts:
            found.setdefault(prompt, []).append(post(server.base_url, prompt)[0])
        return found


def test_random_faults_depend_on_seed_and_prompt_not_on_order() -> None:
    prompts = [f"prompt {number}" for number in range(30)] * 2
    first = _statuses(1, prompts)
    assert first == _statuses(1, prompts[::-1])
    assert first != _statuses(2, prompts)
    failed = sum(status != 200 for statuses in first.values() for status in statuses)
    assert 12 <= failed <= 36


def test_default_random_faults_all_pass() -> None:
    assert all(fault.status in (429, 500, 502, 503, 529) or fault.end in ("close", "reset") for fault in TRANSIENT)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_context_limit(vendor: str) -> None:
    with FaultServer("Yes.", max_context=100, overflow=vendor) as server:
        assert post(server.base_url, "x" * 396)[0] == 200
        status, _, body = post(server.base_url, "x" * 400)
        assert status == 400 and body["error"]["message"]
        assert post(server.base_url, "x" * 200, max_tokens=60)[0] == 400
        assert get(server, "/models")["data"][0]["max_model_len"] == 100
        assert server.max_prompt_tokens == 99


def test_clamping_and_bounds() -> None:
    with FaultServer("word " * 40, max_context=100, clamp=True) as server:
        clamped = post(server.base_url, "x" * 360, max_tokens=60)[2]
        bounded = post(server.base_url, "x", max_completion_tokens=5)[2]
    assert clamped["choices"][0]["finish_reason"] == bounded["choices"][0]["finish_reason"] == "length"
    assert (clamped["usage"]["completion_tokens"], bounded["usage"]["completion_tokens"]) == (10, 5)


def test_its_own_way_to_count() -> None:
    with FaultServer(chars_per_token=2.5) as server:
        assert post(server.base_url, "x" * 100)[2]["usage"]["prompt_tokens"] == 40


async def test_capacity_and_latency() -> None:
    async with FaultServer(capacity=3, latency=0.3) as server:
        began = time.perf_counter()
        answers = await asyncio.gather(*(raw(server) for _ in range(5)))
    assert time.perf_counter() - began >= 0.3
    assert sorted(answer.split(b" ", 2)[1] for answer in answers) == [b"200", b"200", b"200", b"429", b"429"]
    assert (server.max_in_flight, server.in_flight) == (5, 0)


async def test_more_requests_than_slots_wait_for_their_turn() -> None:
    async with FaultServer(slots=2, latency=0.2) as server:
        began = time.perf_counter()
        answers = await asyncio.gather(*(raw(server) for _ in range(5)))
    assert time.perf_counter() - began >= 0.6
    assert {answer.split(b" ", 2)[1] for answer in answers} == {b"200"}
    assert server.max_in_flight == 5


async def test_bytes_that_end_in_every_way() -> None:
    faults = [FAULTS["close"], FAULTS["reset"], Fault(cut=10, end="close"), Fault(cut=10, end="reset")]
    async with FaultServer(faults=faults) as server:
        assert await raw(server) == b""
        with pytest.raises(ConnectionResetError):
            await raw(server)
        cut = await raw(server)
        with pytest.raises(ConnectionResetError):
            await raw(server)
    head, _, body = cut.partition(b"\r\n\r\n")
    assert len(body) == 10 and b"Content-Length: 10\r\n" not in head
    assert server.statuses == {0: 2, 200: 2}


async def test_a_clean_cut_claims_to_be_whole() -> None:
    async with FaultServer(faults=[Fault(cut=10, clean=True)]) as server:
        head, _, body = (await raw(server)).partition(b"\r\n\r\n")
    assert b"Content-Length: 10" in head and len(body) == 10


async def test_delay_and_trickle_take_their_time() -> None:
    for fault in (Fault(delay=0.2), Fault(body="x" * 10, trickle=0.02)):
        async with FaultServer(faults=[fault]) as server:
            began = time.perf_counter()
            assert await raw(server)
            assert time.perf_counter() - began >= 0.2


@pytest.mark.parametrize(
    ("fault", "done", "finish", "ends"),
    [
        (Fault(), True, True, True),
        (Fault(stream="no_done"), False, True, True),
        (Fault(stream="no_finish"), True, False, True),
        (Fault(stream="error_event"), False, False, True),
        (Fault(cut=150, end="close"), False, False, False),
        (Fault(cut=150, clean=True), False, False, True),
    ],
)
async def test_streams(fault: Fault, done: bool, finish: bool, ends: bool) -> None:
    async with FaultServer("one two three", faults=[fault]) as server:
        sent = await raw(server, stream=True)
    assert b"Transfer-Encoding: chunked" in sent
    assert (b"[DONE]" in sent, b'"finish_reason": "stop"' in sent, sent.endswith(b"0\r\n\r\n")) == (done, finish, ends)


async def test_a_bad_line_in_a_stream() -> None:
    async with FaultServer("one", faults=[Fault(stream="bad_json")]) as server:
        sent = await raw(server, stream=True)
    lines = [line[6:] for line in sent.split(b"\n") if line.startswith(b"data: {")]
    broken = [line for line in lines if not _is_json(line)]
    assert len(broken) == 1


def _is_json(line: bytes) -> bool:
    try:
        return bool(json.loads(line))
    except ValueError:
        return False


async def test_leaving_ends_hanging_connections() -> None:
    arrived = asyncio.Event()

    def script(_: int, __: object) -> Fault:
        arrived.set()
        return FAULTS["hang"]

    async with FaultServer(faults=script) as server:
        hanging = asyncio.ensure_future(raw(server))
        await arrived.wait()
    assert await hanging == b""
    with pytest.raises(OSError):
        await raw(server)


def test_other_paths() -> None:
    with FaultServer(models=["a", "b"]) as server:
        assert [entry["id"] for entry in get(server, "/models")["data"]] == ["a", "b"]
        assert get(server, "/health") == {}
        with pytest.raises(urllib.error.HTTPError) as caught:
            get(server, "/nothing")
        caught.value.close()
        assert server.hits == 0


def test_as_a_program() -> None:
    command = [sys.executable, "-W", "error", "-m", "coa.testing.faults", "--fault", "500", "--max-context", "100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            base_url = process.stdout.readline().strip()
            assert post(base_url)[0] == 500
            assert text_of(post(base_url, "FACT-7")) == "Known: FACT-7"
        finally:
            process.terminate()
