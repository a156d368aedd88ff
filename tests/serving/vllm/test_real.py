"""Against a real vLLM server with a small model: what it says of other texts is noise, how it says it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import coa
from coa.cli.main import app
from coa.errors import ContextOverflow, ProviderUnavailable, UsageError
from coa.events import RunFinished, TextPiece
from coa.serving.base import Message, Request
from coa.serving.chat_echo import ChatEchoModel
from coa.serving.openai import OpenAIModel
from coa.serving.resolve import resolve_model
from coa.serving.scoring import ScoringModel
from coa.serving.vllm.interpreter import Interpreter
from coa.serving.vllm.launch import Launch, Running, running
from coa.serving.vllm.probe import Findings, probe
from coa.testing.reader import folder
from tests.serving.vllm.real import WINDOW, accounted

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]


@pytest.fixture
def server(vllm_server: Running) -> Findings:
    return vllm_server.found


@pytest.fixture
def settings(server: Findings) -> coa.Settings:
    return coa.Settings(model="vllm:reader", base_url=f"{server.url}/v1")


def request(text: str, *, max_tokens: int = 40) -> Request:
    return Request(messages=(Message(role="user", content=text),), role="test", inputs={}, max_tokens=max_tokens)


async def complete(settings: coa.Settings, *requests: Request):
    model = resolve_model(settings)
    try:
        return [await model.complete(one) for one in requests]
    finally:
        await model.close()


def test_the_server_says_what_it_is(server: Findings):
    assert server.models == ("reader",) and server.window == WINDOW
    assert server.version is not None and server.version.startswith("0.")
    assert server.attention is None
    done = CliRunner().invoke(app, ["vllm", "--check", server.url])
    assert done.exit_code == 0 and "8,192 tokens" in done.stdout and "dense" in done.stdout
    assert "chat               answers" in done.stdout and "problem" not in done.stdout
    assert "tokens of a prompt that was sent twice" in done.stdout and "coa trace is exact" in done.stdout
    asked = CliRunner().invoke(app, ["vllm", "--check", server.url, "--profile", "xattention"])
    assert isinstance(asked.exception, ProviderUnavailable), "a dense server that was asked to be sparse"


async def test_the_same_prompt_gives_the_same_reply_and_comes_from_the_prefix_cache(settings: coa.Settings):
    long = request("The lamp on the east pier was lit at six. " * 60)
    first, again = await complete(settings, long, long)
    assert first.text == again.text and first.finish == again.finish
    assert again.cached_tokens >= 128 and again.cached_tokens < again.prompt_tokens


async def test_a_prompt_beyond_the_window_is_an_overflow_that_tells_its_size(settings: coa.Settings):
    with pytest.raises(ContextOverflow) as caught:
        await complete(settings, request("lamp " * 9000))
    assert caught.value.limit == WINDOW
    with pytest.raises(ContextOverflow):
        await complete(settings, request("x" * 200_000))


async def test_the_other_ways_of_asking_for_too_much_are_overflows_too(settings: coa.Settings):
    """A prompt of exactly the window gets a message about ``max_tokens``; so does a reply longer than it."""
    model = resolve_model(settings)
    assert isinstance(model, OpenAIModel)
    try:
        for tokens in (WINDOW, WINDOW + 1):
            with pytest.raises(ContextOverflow):
                await model.post("/completions", {"prompt": [7] * tokens, "max_tokens": 1}, request("lamp"))
        assert await model.post("/completions", {"prompt": [7] * (WINDOW - 1), "max_tokens": 1}, request("lamp"))
        with pytest.raises(ContextOverflow) as caught:
            await model.complete(request("lamp", max_tokens=100_000))
        assert caught.value.limit == WINDOW
    finally:
        await model.close()


async def test_both_ways_of_scoring_agree_and_the_cheaper_one_is_taken(settings: coa.Settings):
    sentences = [f"Boat {i * 7} left for pier {i * 3} in the rain." for i in range(240)]
    answer = Message(role="assistant", content="Boat 21 — in the rain.")

    def scored(left_out: int) -> Request:
        text = " ".join(sentence for i, sentence in enumerate(sentences) if i != left_out)
        return Request(messages=(Message(role="user", content=f"{text}\nWhich?"), answer), role="trace", max_tokens=1)

    model = resolve_model(settings)
    assert isinstance(model, OpenAIModel)
    cheaper, whole = ScoringModel(model), ChatEchoModel(model)
    try:
        for left_out in (239, 230, 120, 0):
            ours, truth = await cheaper.complete(scored(left_out)), await whole.complete(scored(left_out))
            said, true = json.loads(ours.text), json.loads(truth.text)
            assert said["offsets"] == true["offsets"] and said["logprobs"] == pytest.approx(true["logprobs"], abs=1e-3)
            assert truth.cached_tokens == 0 and ours.prompt_tokens == truth.prompt_tokens
            assert (ours.cached_tokens > 1000) == (left_out in (230, 120))
    finally:
        await model.close()
    assert cheaper.calls == {"whole": 2, "cached": 2}, "the first, and one that shares no beginning, are read whole"


def test_a_trace_is_exact(settings: coa.Settings, root: Path):
    document = root / "examples" / "documents" / "minutes.md"
    options = {"model": settings.model, "base_url": settings.base_url}
    found = coa.trace(document, "Who chairs the meeting?", "The chair is Ada.", **options)
    assert found.kind == "logprobs" and found.usage.calls > 10


def test_a_port_that_a_server_has_is_refused_before_anything_starts(server: Findings, tmp_path: Path):
    port = int(server.url.rpartition(":")[2])
    launch = Launch(model=str(folder()), port=port)
    with (
        pytest.raises(UsageError, match="cannot be listened on"),
        running(launch, tmp_path / "log", found=Interpreter(python="none")),
    ):
        pass
    assert not (tmp_path / "log").exists()


async def test_a_reply_that_vllm_clamped_is_never_taken_for_whole(settings: coa.Settings):
    """A prompt that leaves less room than ``max_tokens`` gets status 200 and a reply cut by the window."""
    model = resolve_model(settings)
    try:
        one, two = [(await model.complete(request("lamp, " * n, max_tokens=1))).prompt_tokens for n in (1000, 1100)]
        words = 1000 + (WINDOW - 1 - one) * 100 // (two - one)
        reply = await model.complete(request("lamp, " * words, max_tokens=400))
    finally:
        await model.close()
    assert reply.prompt_tokens > WINDOW - 400, "the test must leave less room than it asks for"
    assert reply.finish == ("length" if reply.prompt_tokens + reply.completion_tokens == WINDOW else "stop")


def test_a_chain_runs_through_it_and_reports_what_the_cache_served(settings: coa.Settings, root: Path):
    document = root / "examples" / "documents" / "lighthouse_log.txt"
    options: dict[str, Any] = {"model": settings.model, "base_url": settings.base_url, "window": 4096}
    summary = coa.summarize(document, **options)
    accounted(summary)
    asked = coa.ask(document, "Who keeps the light?", **options)
    again = coa.ask(document, "Who hid the letter?", **options)
    assert asked.usage.calls > 3 and again.usage.calls > 3
    assert again.usage.cached_tokens > 0.5 * again.usage.prompt_tokens, "another question over the same parts"


async def test_the_final_text_streams(settings: coa.Settings, root: Path):
    document = root / "examples" / "documents" / "minutes.md"
    events = [e async for e in coa.stream.summarize(document, model=settings.model, base_url=settings.base_url)]
    pieces = "".join(event.text for event in events if isinstance(event, TextPiece))
    assert pieces and isinstance(events[-1], RunFinished)


def test_metrics_count_what_the_prefix_cache_served(server: Findings):
    found = probe(server.url)
    assert found.prefix_queries and found.prefix_hits is not None
