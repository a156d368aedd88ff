"""The same outcomes through litellm. It takes seconds to load and is an extra: slow, and skipped without it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from coa import errors
from coa.errors import AuthenticationFailed, ContextOverflow, MissingExtra, RateLimited
from coa.serving.litellm import LiteLLMModel
from coa.serving.window import window_of
from coa.testing.conformance import check_failure, check_model, sample_request
from coa.testing.fault import FAULTS, Fault, rate_limited
from coa.testing.faults import FaultServer
from coa.testing.vendors import VENDORS

installed = find_spec("litellm") is not None
needs_litellm = pytest.mark.skipif(not installed, reason="litellm is not installed: pip install '.[litellm]'")
through_litellm = [pytest.mark.slow, needs_litellm, pytest.mark.filterwarnings("ignore")]

ERRORS = {
    "429": "RateLimited",
    "quota": "QuotaExceeded",
    "400": "RequestRejected",
    "401": "AuthenticationFailed",
    "403": "AuthenticationFailed",
    "404": "RequestRejected",
    "500": "ProviderUnavailable",
    "502": "ProviderUnavailable",
    "503": "ProviderUnavailable",
    "html": "ProviderUnavailable",
    "cut-json": "ProviderUnavailable",
    "short-body": "ProviderUnavailable",
    "reset": "ProviderUnavailable",
    "close": "ProviderUnavailable",
    "hang": "CallTimeout",
    "trickle": "CallTimeout",
}
FINISHES = {
    "healthy": ("Yes.", "stop"),
    "length": ("Yes.", "length"),
    "filter": ("", "filter"),
    "none": ("", "stop"),
    "empty": ("", "stop"),
    "reasoning-only": ("", "stop"),
}


def model_at(server: FaultServer, timeout: float = 20.0) -> LiteLLMModel:
    return LiteLLMModel("openai/test", base_url=server.base_url, api_key="sk-not-a-real-key", timeout=timeout)


@pytest.mark.skipif(installed, reason="litellm is installed")
def test_without_litellm_it_says_how_to_get_it() -> None:
    with pytest.raises(MissingExtra) as caught:
        LiteLLMModel("openai/gpt-4o")
    assert "chain-of-agents[litellm]" in caught.value.hint
    assert "litellm" not in sys.modules


class TestThroughLiteLLM:
    pytestmark = through_litellm

    async def test_conforms(self) -> None:
        async with FaultServer("facts") as server:
            await check_model(lambda: model_at(server))

    @pytest.mark.parametrize(("fault", "expected"), ERRORS.items())
    async def test_faults_that_are_errors(self, fault: str, expected: str) -> None:
        async with FaultServer("Yes.", faults=[FAULTS["healthy"], FAULTS[fault]]) as server:
            model = model_at(server, 1.0 if expected == "CallTimeout" else 20.0)
            await model.warm()
            await model.complete(sample_request())
            error = await check_failure(lambda: model, getattr(errors, expected))
        assert error.code == expected
        assert server.hits == 2
        assert "sk-not-a-real-key" not in str(error)

    @pytest.mark.parametrize(("fault", "expected"), FINISHES.items())
    async def test_faults_that_are_replies(self, fault: str, expected: tuple[str, str]) -> None:
        async with FaultServer("Yes.", faults=[FAULTS[fault]]) as server:
            model = model_at(server)
            reply = await model.complete(sample_request())
            await model.close()
        assert (reply.text, reply.finish) == expected
        assert server.hits == 1

    async def test_retry_after(self) -> None:
        async with FaultServer(faults=[rate_limited("7")]) as server:
            error = await check_failure(lambda: model_at(server), RateLimited)
        assert (error.retry_after, server.hits) == (7.0, 1)

    @pytest.mark.parametrize("vendor", VENDORS)
    async def test_overflow(self, vendor: str) -> None:
        async with FaultServer(max_context=32, overflow=vendor) as server:
            error = await check_failure(lambda: model_at(server), ContextOverflow)
        assert isinstance(error, ContextOverflow)
        assert error.limit == (None if vendor == "ollama" else 32)
        assert server.hits == 1

    async def test_usage(self) -> None:
        usage = {"prompt_tokens": 40, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 32}}
        async with FaultServer(faults=[Fault(completion={"usage": usage})]) as server:
            model = model_at(server)
            reply = await model.complete(sample_request())
            await model.close()
        assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (40, 32, 7)

    async def test_no_key(self) -> None:
        await check_failure(lambda: LiteLLMModel("anthropic/claude-sonnet-4-5"), AuthenticationFailed)

    async def test_the_window_that_litellm_knows(self) -> None:
        model = LiteLLMModel("openai/gpt-4o")
        assert (await window_of(model), model.window_is_assumed) == (128_000, False)
        await model.close()
