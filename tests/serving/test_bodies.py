"""Servers that send without end: what is read of them is bounded by bytes, whoever asks and in whatever way."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from coa.cli.doctor import findings
from coa.config import Settings
from coa.errors import MalformedReply, ModelError, ProviderUnavailable, RateLimited, RequestRejected
from coa.retrieval.api_embedder import ApiEmbedder
from coa.serving.base import Message, Request
from coa.serving.bodies import ERROR_BYTES, PAGE_BYTES, reply_bytes
from coa.serving.openai import OpenAIModel
from coa.serving.vllm.probe import probe
from coa.testing.conformance import sample_request
from coa.testing.fault import FAULTS, Fault, rate_limited
from coa.testing.faults import FaultServer
from tests.loopback import listening

MB = 1024 * 1024
ON_ITS_WAY = 8 * MB
"""What the buffers of the connection may hold of what nobody reads."""


async def refused(server: FaultServer, *, streamed: bool) -> tuple[ModelError, str]:
    """The error of one request, and what was heard of its text."""
    model = OpenAIModel("test", base_url=server.base_url, timeout=60)
    heard: list[str] = []
    try:
        with pytest.raises(ModelError) as caught:
            await (model.stream(sample_request(), heard.append) if streamed else model.complete(sample_request()))
    finally:
        await model.close()
    return caught.value, "".join(heard)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_reply_without_end_is_read_up_to_its_bound(streamed: bool) -> None:
    async with FaultServer("Yes.", faults=[FAULTS["endless"]]) as server:
        error, heard = await refused(server, streamed=streamed)
    bound = reply_bytes(sample_request())
    assert isinstance(error, MalformedReply) and "more than 1" in error.message and not error.retryable
    assert bound - ON_ITS_WAY <= server.flooded <= bound + ON_ITS_WAY
    assert heard.startswith("Yes.Yes.") is streamed


def test_the_bound_follows_from_what_was_asked_for() -> None:
    def bound(text: str, tokens: int) -> int:
        return reply_bytes(Request(messages=(Message(role="user", content=text),), role="worker", max_tokens=tokens))

    assert bound("", 0) == 16 * MB
    assert bound("", 1000) - bound("", 0) == 1000 * 1024
    assert bound("a" * 1000, 0) - bound("", 0) == 128_000


@pytest.mark.parametrize("streamed", [False, True])
async def test_of_an_error_without_end_the_status_is_taken_and_its_beginning(streamed: bool) -> None:
    limited = rate_limited("7")
    async with FaultServer(faults=[Fault(status=429, headers=limited.headers, endless=True)]) as server:
        error, _ = await refused(server, streamed=streamed)
    assert isinstance(error, RateLimited) and error.retry_after == 7.0
    assert server.flooded <= ERROR_BYTES + ON_ITS_WAY


async def test_a_stream_that_goes_on_after_its_end_is_whole() -> None:
    event = {"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"
    async with FaultServer(faults=[Fault(body=body, endless=True)]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.stream(sample_request(), lambda _: None)
        await model.close()
    assert (reply.text, reply.finish) == ("Yes.", "stop")
    assert server.flooded <= reply_bytes(sample_request()) + ON_ITS_WAY


async def test_a_bomb_of_compressed_blanks_is_not_inflated() -> None:
    bomb = gzip.compress(b" " * (64 * MB))
    async with FaultServer(faults=[Fault(body=bomb, headers={"Content-Encoding": "gzip"})] * 2) as server:
        error, _ = await refused(server, streamed=False)
    assert isinstance(error, ProviderUnavailable) and "compressed" in error.message
    assert server.headers[0]["accept-encoding"] == "identity"


async def test_no_redirect_is_followed_and_the_hint_says_where_it_points() -> None:
    async with FaultServer("Yes.") as other:
        there = other.base_url + "/chat/completions"
        async with FaultServer(faults=[Fault(status=307, headers={"Location": there})]) as server:
            error, _ = await refused(server, streamed=False)
        assert isinstance(error, RequestRejected) and error.status == 307 and there in error.hint
        assert other.hits == 0


async def test_embeddings_without_end_are_refused() -> None:
    with FaultServer(embed=lambda _: [1.0, 2.0], faults=[FAULTS["endless"]]) as server:
        embedder = ApiEmbedder("test", base_url=server.base_url)
        with pytest.raises(MalformedReply, match="more than"):
            embedder.embed(["one", "two"])
        assert server.hits == 1 and server.flooded <= 20 * MB + ON_ITS_WAY


def endless(*paths: str, wait: float = 0.0) -> tuple[type[BaseHTTPRequestHandler], Callable[[], int]]:
    """A server whose pages at these paths never end, and how many bytes of them were taken."""
    taken = 0

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal taken
            without_end = self.path.endswith(paths)
            body = b'{"data": [{"id": "test", "max_model_len": 4096}]}'
            self.send_response(200)
            if not without_end:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            piece = b" " if wait else b" " * 65536
            try:
                while without_end:
                    taken += self.wfile.write(piece)
                    time.sleep(wait)
            except ConnectionError:
                pass
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Endless, lambda: taken


async def test_a_list_of_models_without_end_tells_no_window() -> None:
    handler, taken = endless("/models")
    with listening(handler) as url:
        model = OpenAIModel("test", base_url=url)
        await model.learn_window()
        await model.close()
        assert model.window_is_assumed
    assert taken() <= PAGE_BYTES + ON_ITS_WAY


def test_figures_without_end_are_none_and_a_list_without_end_is_said() -> None:
    handler, taken = endless("/metrics", "/version")
    with listening(handler) as url:
        found = probe(url)
        assert found.window == 4096 and found.version is None and found.prefix_queries is None
    assert taken() <= 2 * (PAGE_BYTES + ON_ITS_WAY)
    handler, _ = endless("/models")
    with listening(handler) as url, pytest.raises(ProviderUnavailable, match="more than 4 MB"):
        probe(url)


@pytest.mark.slow
def test_a_page_that_trickles_ends_at_its_time() -> None:
    handler, _ = endless("/models", wait=0.05)
    began = time.monotonic()
    with listening(handler) as url, pytest.raises(ProviderUnavailable, match="not whole within 5 s"):
        probe(url)
    assert time.monotonic() - began < 20


def test_the_doctor_says_that_the_server_sends_without_end() -> None:
    with FaultServer(faults=[FAULTS["endless"]]) as server:
        *_, model = findings(Settings(model="openai:test", base_url=server.base_url, window=4096))
    assert model.subject == "model" and model.broken and "more than 16 MB" in model.state
