"""One request over a real loopback connection: what comes back, what was sent, and that it was sent once."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace

import pytest

from coa.errors import AuthenticationFailed, CallTimeout, RequestRejected, UsageError
from coa.serving.base import Message, Request
from coa.serving.openai import FALLBACK_WINDOW, OpenAIModel
from coa.serving.window import window_of
from coa.testing.conformance import check_failure, check_model, sample_request
from coa.testing.fault import FAULTS, Fault
from coa.testing.faults import FaultServer
from coa.testing.scripted import ScriptedModel

UNSUPPORTED = "Unsupported parameter: {0!r} is not supported with this model."


def refusing(*names: str):
    """A script that refuses any request with one of these parameters, by name."""

    def script(_: int, body: object) -> Fault | None:
        assert isinstance(body, dict)
        found = next((name for name in names if name in body), None)
        if found is None:
            return None
        return Fault(status=400, message=UNSUPPORTED.format(found), error={"param": found})

    return script


async def test_conforms() -> None:
    async with FaultServer("facts") as server:
        await check_model(lambda: OpenAIModel("test", base_url=server.base_url, timeout=20))


async def test_reply_and_usage() -> None:
    usage = {"prompt_tokens": 40, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 32}}
    async with FaultServer("The third stair.", faults=[Fault(completion={"usage": usage})]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.complete(sample_request())
        await model.close()
    assert (reply.text, reply.finish, reply.model) == ("The third stair.", "stop", "test")
    assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (40, 32, 7)


async def test_sends_what_was_asked() -> None:
    async with FaultServer() as server:
        model = OpenAIModel("test", base_url=server.base_url)
        await model.complete(replace(sample_request(), max_tokens=99, temperature=0.5, seed=7))
        await model.close()
    [sent] = server.requests
    assert (sent["model"], sent["max_tokens"], sent["temperature"], sent["seed"]) == ("test", 99, 0.5, 7)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert "stream" not in sent and "reasoning_effort" not in sent and "truncate_prompt_tokens" not in sent


async def test_lone_surrogates_are_replaced_before_sending() -> None:
    request = Request(messages=(Message(role="user", content="a\ud83db"),), role="worker")
    async with FaultServer("echo") as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.complete(request)
        await model.close()
    assert reply.text == "a\ufffdb"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}], "two parts"),
        ([{"type": "thinking", "thinking": "hm", "text": "no"}, {"type": "text", "text": "yes"}], "yes"),
        (["plain", 3, None], "plain"),
        (None, ""),
        (42, ""),
    ],
)
async def test_content_shapes(content: object, text: str) -> None:
    async with FaultServer(faults=[Fault(message_fields={"content": content})]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.complete(sample_request())
        await model.close()
    assert (reply.text, reply.finish) == (text, "stop")


async def test_one_connection_for_many_calls() -> None:
    async with FaultServer() as server:
        model = OpenAIModel("test", base_url=server.base_url)
        for _ in range(20):
            await model.complete(sample_request())
        await model.close()
    assert (server.hits, server.connections) == (20, 1)


async def test_a_refused_spelling_is_changed_once_and_remembered() -> None:
    async with FaultServer(faults=refusing("max_tokens", "temperature")) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        first = await model.complete(sample_request())
        hits = server.hits
        second = await model.complete(sample_request())
        await model.close()
    assert first.finish == second.finish == "stop"
    assert (hits, server.hits) == (3, 4)
    assert "max_completion_tokens" in server.requests[-1] and "temperature" not in server.requests[-1]


async def test_a_server_that_takes_no_spelling_is_not_asked_for_ever() -> None:
    async with FaultServer(faults=refusing("max_tokens", "max_completion_tokens")) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        await check_failure(lambda: model, expected=RequestRejected)
    assert server.hits == 2


async def test_a_reply_that_is_too_large_for_the_server_is_no_question_of_spelling() -> None:
    message = "max_tokens is too large: 256. This model supports at most 16 completion tokens."
    async with FaultServer(faults=[Fault(status=400, message=message)]) as server:
        await check_failure(lambda: OpenAIModel("test", base_url=server.base_url), expected=RequestRejected)
    assert server.hits == 1


async def test_the_whole_call_has_a_deadline_however_slowly_bytes_trickle_in() -> None:
    for fault in (Fault(trickle=0.05), FAULTS["hang"], FAULTS["slow-headers"]):
        async with FaultServer(faults=[FAULTS["healthy"], fault]) as server:
            model = OpenAIModel("test", base_url=server.base_url, timeout=0.4)
            await model.complete(sample_request())
            began = time.perf_counter()
            with pytest.raises(CallTimeout):
                await model.complete(sample_request())
            assert 0.3 < time.perf_counter() - began < 0.4 + 0.25
            await model.close()
        assert server.hits == 2


async def test_no_key_is_an_error_for_openai_only() -> None:
    error = await check_failure(lambda: OpenAIModel("gpt-5-mini"), AuthenticationFailed)
    assert "OPENAI_API_KEY" in error.hint
    async with FaultServer() as server:
        model = OpenAIModel("test", base_url=server.base_url)
        assert (await model.complete(sample_request())).finish == "stop"
        await model.close()


@pytest.mark.parametrize("key", ["sk-with\nnewline", "schl\u00fcssel", "two words"])
async def test_a_key_that_cannot_be_sent(key: str) -> None:
    error = await check_failure(
        lambda: OpenAIModel("m", base_url="http://127.0.0.1:1/v1", api_key=key), AuthenticationFailed
    )
    assert key not in str(error)


@pytest.mark.parametrize("base_url", ["localhost:8000/v1", "ftp://host/v1", "http:///v1", "http://host:99999/v1", "?"])
def test_an_address_that_is_none(base_url: str) -> None:
    with pytest.raises(UsageError, match="no address"):
        OpenAIModel("m", base_url=base_url)


async def test_neither_key_nor_text_in_a_message() -> None:
    key, text = "sk-abcdefghijklmnop", "Nobody looked there for eleven years."
    message = f"Incorrect key {key}; your input was: The keeper hid it. {text} Also sk-proj-1234567890abcdef."
    async with FaultServer(faults=[Fault(status=422, message=message)]) as server:
        model = OpenAIModel("m", base_url=server.base_url, api_key=key)
        error = await check_failure(lambda: model, expected=RequestRejected)
    assert "Incorrect key [key]" in str(error)
    assert text not in str(error) and key not in str(error) and "1234567890" not in str(error)


async def test_the_window_is_asked_of_the_server() -> None:
    async with FaultServer(max_context=3072) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        assert model.window == FALLBACK_WINDOW
        assert await window_of(model) == 3072
        assert not model.window_is_assumed
        await model.close()
        given = OpenAIModel("test", base_url=server.base_url, window=1024)
        assert await window_of(given) == 1024
        await given.close()


async def test_a_window_that_nobody_tells_is_assumed() -> None:
    async with FaultServer(models=["another"], max_context=3072) as server:
        for base_url in (server.base_url, "http://127.0.0.1:1/v1"):
            model = OpenAIModel("test", base_url=base_url)
            assert await window_of(model) == FALLBACK_WINDOW
            assert model.window_is_assumed
            await model.close()


async def test_a_known_window_needs_neither_key_nor_server() -> None:
    assert await window_of(OpenAIModel("gpt-4o")) == 128_000
    assert await window_of(ScriptedModel([], window=99)) == 99


@pytest.mark.parametrize(
    ("name", "window"),
    [("gpt-4.1-mini", 1_000_000), ("gpt-4o", 128_000), ("gpt-4", 8_192), ("o3", 200_000), ("gpt-5-mini", 272_000)],
)
def test_well_known_windows(name: str, window: int) -> None:
    assert OpenAIModel(name).window == window


def test_a_compatible_server_does_not_get_openais_windows() -> None:
    assert OpenAIModel("gpt-4.1", base_url="http://127.0.0.1:8000/v1").window == FALLBACK_WINDOW


async def test_one_model_in_two_loops_one_after_the_other() -> None:
    with FaultServer() as server:
        model = OpenAIModel("test", base_url=server.base_url)

        async def once() -> str:
            try:
                return (await model.complete(sample_request())).finish
            finally:
                await model.close()

        def run() -> str:
            return asyncio.run(once())

        assert [await asyncio.to_thread(run) for _ in range(2)] == ["stop", "stop"]


async def test_a_key_of_the_environment_is_used() -> None:
    os.environ["OPENAI_API_KEY"] = "sk-from-the-environment"
    message = "You sent sk-from-the-environment and it is wrong."
    async with FaultServer(faults=[Fault(status=401, message=message)]) as server:
        model = OpenAIModel("m", base_url=server.base_url)
        error = await check_failure(lambda: model, AuthenticationFailed)
    assert "[key]" in str(error)


async def test_the_first_call_does_not_hold_up_the_event_loop() -> None:
    code = (
        "import asyncio, sys, time\n"
        "from coa.serving.openai import OpenAIModel\n"
        "assert 'openai' not in sys.modules\n"
        "async def main():\n"
        "    model = OpenAIModel('m', base_url='http://127.0.0.1:1/v1', window=1000)\n"
        "    warming = asyncio.ensure_future(model.warm()); ticks = 0\n"
        "    while not warming.done():\n"
        "        await asyncio.sleep(0.005); ticks += 1\n"
        "    assert 'openai' in sys.modules\n"
        "    await model.close(); print(ticks)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert int(out) >= 5
