"""Against a real vLLM server with a tiny random model: what it says is noise, how it says it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import coa
from coa.cli.main import app
from coa.errors import ContextOverflow, ProviderUnavailable
from coa.events import RunFinished, TextPiece
from coa.serving.base import Message, Request
from coa.serving.resolve import resolve_model
from coa.serving.vllm.probe import Findings, probe

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]

WINDOW = 8192


@pytest.fixture
def settings(vllm_server: Findings) -> coa.Settings:
    return coa.Settings(model="vllm:tiny", base_url=f"{vllm_server.url}/v1")


def request(text: str, *, max_tokens: int = 40) -> Request:
    return Request(messages=(Message(role="user", content=text),), role="test", inputs={}, max_tokens=max_tokens)


async def complete(settings: coa.Settings, *requests: Request):
    model = resolve_model(settings)
    try:
        return [await model.complete(one) for one in requests]
    finally:
        await model.close()


def test_the_server_says_what_it_is(vllm_server: Findings):
    assert vllm_server.models == ("tiny",) and vllm_server.window == WINDOW
    assert vllm_server.version is not None and vllm_server.version.startswith("0.")
    assert vllm_server.attention is None
    done = CliRunner().invoke(app, ["vllm", "--check", vllm_server.url])
    assert done.exit_code == 0 and "8,192 tokens" in done.stdout and "dense" in done.stdout
    asked = CliRunner().invoke(app, ["vllm", "--check", vllm_server.url, "--profile", "xattention"])
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
    options = {"model": settings.model, "base_url": settings.base_url, "window": 4096}
    summary = coa.summarize(document, **options)
    assert summary.status == "complete" and summary.coverage.read == summary.coverage.chunks > 3
    asked = coa.ask(document, "Who keeps the light?", **options)
    again = coa.ask(document, "Who hid the letter?", **options)
    assert asked.usage.calls > 3 and again.usage.calls > 3
    assert again.usage.cached_tokens > 0.5 * again.usage.prompt_tokens, "another question over the same parts"


async def test_the_final_text_streams(settings: coa.Settings, root: Path):
    document = root / "examples" / "documents" / "minutes.md"
    events = [e async for e in coa.stream.summarize(document, model=settings.model, base_url=settings.base_url)]
    pieces = "".join(event.text for event in events if isinstance(event, TextPiece))
    assert pieces and isinstance(events[-1], RunFinished)


def test_metrics_count_what_the_prefix_cache_served(vllm_server: Findings):
    found = probe(vllm_server.url)
    assert found.prefix_queries and found.prefix_hits is not None
