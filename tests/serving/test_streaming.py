"""Streams over a real connection, whole and broken: a reply is whole only when the server said how it finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from coa.errors import ContextOverflow, ModelError, ProviderUnavailable, RateLimited, RequestRejected
from coa.serving.base import Streaming
from coa.serving.openai import OpenAIModel
from coa.serving.streaming import Gathered
from coa.testing.completions import Spoken, stream
from coa.testing.conformance import sample_request
from coa.testing.fault import FAULTS, Fault
from coa.testing.faults import FaultServer

TEXT = "The keeper hid the letter under the third stair, and nobody looked there for eleven long years. " * 2
WHOLE = TEXT.strip()


async def said(server: FaultServer, **options: Any) -> tuple[str, str, list[str]]:
    model = OpenAIModel("test", base_url=server.base_url, **options)
    pieces: list[str] = []
    try:
        reply = await model.stream(sample_request(), pieces.append)
    finally:
        await model.close()
    return reply.text, reply.finish, pieces


async def test_a_whole_stream() -> None:
    async with FaultServer(WHOLE) as server:
        text, finish, pieces = await said(server)
    assert (text, finish) == (WHOLE, "stop")
    assert len(pieces) > 3 and "".join(pieces) == WHOLE
    assert server.requests[0]["stream_options"] == {"include_usage": True}


async def test_usage_comes_with_it() -> None:
    async with FaultServer(WHOLE) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.stream(sample_request(), lambda _: None)
        same = await model.complete(sample_request())
        await model.close()
    assert reply.completion_tokens > 0
    assert reply == same


def test_the_model_says_that_it_streams() -> None:
    assert isinstance(OpenAIModel("test", base_url="http://127.0.0.1:1/v1"), Streaming)


def cuts() -> int:
    """Bytes of the stream that the server sends."""
    spoken = Spoken(text=WHOLE, finish="stop", model="test", prompt_tokens=30, completion_tokens=48)
    return len(stream(spoken, Fault()))


async def outcome(server: FaultServer, model: OpenAIModel) -> str:
    try:
        reply = await model.stream(sample_request(), lambda _: None)
    except ProviderUnavailable:
        return "refused"
    assert reply.text == WHOLE, "a cut text came out as a reply"
    return reply.finish


ALL = pytest.mark.slow


@pytest.mark.parametrize(
    ("how", "most"),
    [
        *(("clean", 80), ("close", 80), ("reset", 80)),
        *(pytest.param(how, most, marks=ALL) for how, most in (("clean", 2_000), ("close", 400), ("reset", 400))),
    ],
)
async def test_no_cut_stream_is_taken_for_whole(
    how: str, most: int, record_property: Callable[[str, str], None]
) -> None:
    """At every byte where the stream ends cleanly, at about 400 points where its connection is closed or reset."""
    size = cuts()
    points = sorted({(size - 1) * i // (most - 1) for i in range(most)})
    end = {"clean": True} if how == "clean" else {"end": how}
    async with FaultServer(WHOLE, faults=[Fault(cut=point, **end) for point in points]) as server:  # pyright: ignore
        model = OpenAIModel("test", base_url=server.base_url, timeout=20)
        found = [await outcome(server, model) for _ in points]
        await model.close()
    assert server.hits == len(points)
    finished = found.index("stop")
    assert finished > 0.7 * len(points), "the finish stands near the end of the stream"
    assert set(found[:finished]) == {"refused"}
    record_property(f"stream cut points ({how})", f"{len(points)}, taken for whole before the finish: 0")


async def test_streams_that_say_nothing_of_their_end() -> None:
    async with FaultServer(WHOLE, faults=[Fault(stream="no_finish")]) as server:
        assert await said(server) == (WHOLE, "unknown", [*(await said(server))[2]])


async def test_a_stream_without_its_last_mark_is_whole_once_it_has_finished() -> None:
    async with FaultServer(WHOLE, faults=[Fault(stream="no_done")]) as server:
        assert (await said(server))[:2] == (WHOLE, "stop")


@pytest.mark.parametrize("fault", ["error_event", "bad_json"])
async def test_errors_inside_a_stream(fault: Any) -> None:
    async with FaultServer(WHOLE, faults=[Fault(stream=fault)]) as server:
        with pytest.raises(ProviderUnavailable):
            await said(server)


@pytest.mark.parametrize(
    ("name", "error"), [("429", RateLimited), ("400", RequestRejected), ("html", ProviderUnavailable)]
)
async def test_failures_are_those_of_a_plain_call(name: str, error: type[ModelError]) -> None:
    async with FaultServer(WHOLE, faults=[FAULTS[name]]) as server:
        with pytest.raises(error):
            await said(server)
    assert server.hits == 1


async def test_overflow_is_recognised() -> None:
    async with FaultServer(WHOLE, max_context=10) as server:
        with pytest.raises(ContextOverflow):
            await said(server)


async def test_a_stream_that_trickles_ends_at_the_deadline() -> None:
    async with FaultServer(WHOLE, faults=[Fault(trickle=0.05)]) as server:
        with pytest.raises(ModelError, match="within"):
            await said(server, timeout=0.3)


async def test_a_server_that_does_not_know_stream_options() -> None:
    refused = Fault(status=400, message="Unknown parameter: 'stream_options'.", error={"param": "stream_options"})
    async with FaultServer(WHOLE, faults=[refused]) as server:
        assert (await said(server))[:2] == (WHOLE, "stop")
    assert "stream_options" not in server.requests[1]


def test_a_server_that_does_not_stream() -> None:
    gathered = Gathered(lambda _: None)
    gathered.take(b'{"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}]}')
    assert gathered.reply(model="m").text == "All at once."


def test_odd_events_are_no_crash() -> None:
    gathered = Gathered(lambda _: None)
    for line in (
        b": ping",
        b"event: x",
        b"data: []",
        b"data: 3",
        b'data: {"choices": [{"delta": 4}]}',
        b"data: [DONE]",
    ):
        gathered.take(line)
    assert gathered.reply(model="m").finish == "unknown"


async def test_other_line_breaks_of_unicode_stay_in_the_text() -> None:
    body = 'data: {"choices": [{"delta": {"content": "a\u2028b\u0085c"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    async with FaultServer("x", faults=[Fault(body=body)]) as server:
        assert (await said(server))[0] == "a\u2028b\u0085c"


async def test_a_stream_can_be_cancelled() -> None:
    async with FaultServer(WHOLE, faults=[Fault(trickle=0.05)]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        call = asyncio.ensure_future(model.stream(sample_request(), lambda _: None))
        await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.wait([call], timeout=5)
        assert call.cancelled()
        reply = await model.stream(sample_request(), lambda _: None)
        await model.close()
    assert reply.text == WHOLE
