"""The fault matrix, rows 1 to 9, as one request sees it: one attempt, one typed outcome, nothing silent."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from coa import errors
from coa.errors import ContextOverflow, InvalidReply, ModelError, ProviderUnavailable, RateLimited
from coa.serving.openai import OpenAIModel
from coa.testing.conformance import check_failure, sample_request
from coa.testing.fault import FAULTS, End, Fault, rate_limited
from coa.testing.faults import FaultServer
from coa.testing.vendors import VENDORS

ERRORS = {
    "429": "RateLimited",
    "quota": "QuotaExceeded",
    "400": "RequestRejected",
    "401": "AuthenticationFailed",
    "403": "AuthenticationFailed",
    "404": "RequestRejected",
    "408": "ProviderUnavailable",
    "409": "ProviderUnavailable",
    "500": "ProviderUnavailable",
    "501": "RequestRejected",
    "502": "ProviderUnavailable",
    "503": "ProviderUnavailable",
    "529": "ProviderUnavailable",
    "html": "ProviderUnavailable",
    "cut-json": "ProviderUnavailable",
    "short-body": "ProviderUnavailable",
    "reset": "ProviderUnavailable",
    "reset-body": "ProviderUnavailable",
    "close": "ProviderUnavailable",
    "hang": "CallTimeout",
    "hang-body": "CallTimeout",
    "trickle": "CallTimeout",
    "slow-headers": "CallTimeout",
    "filter-400": "RefusedReply",
    "no-choices": "MalformedReply",
    "error-200": "ProviderUnavailable",
    "endless": "MalformedReply",
    "endless-500": "ProviderUnavailable",
}
FINISHES = {
    "healthy": ("Yes.", "stop"),
    "no-usage": ("Yes.", "stop"),
    "length": ("Yes.", "length"),
    "no-finish": ("Yes.", "unknown"),
    "filter": ("", "filter"),
    "refusal": ("I cannot help with that.", "refusal"),
    "empty": ("", "stop"),
    "none": ("", "stop"),
    "blank": (" \n\t ", "stop"),
    "reasoning-only": ("", "stop"),
}


def test_every_named_fault_is_in_one_of_the_tables() -> None:
    assert set(FAULTS) == set(ERRORS) | set(FINISHES)


@pytest.mark.parametrize(("fault", "expected"), ERRORS.items())
async def test_faults_that_are_errors(fault: str, expected: str) -> None:
    async with FaultServer("Yes.", faults=[FAULTS[fault]]) as server:
        model = OpenAIModel("test", base_url=server.base_url, timeout=0.3 if expected == "CallTimeout" else 10)
        error = await check_failure(lambda: model, getattr(errors, expected))
    assert error.code == expected
    assert server.hits == 1
    if FAULTS[fault].status != 200:
        assert error.status == FAULTS[fault].status


@pytest.mark.parametrize(("fault", "expected"), FINISHES.items())
async def test_faults_that_are_replies(fault: str, expected: tuple[str, str]) -> None:
    async with FaultServer("Yes.", faults=[FAULTS[fault]]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        reply = await model.complete(sample_request())
        await model.close()
    assert (reply.text, reply.finish) == expected
    assert server.hits == 1


@pytest.mark.parametrize("finish", ["tool_calls", "function_call", "eos", "", "STOP", 3, ["stop"]])
async def test_only_stop_is_a_whole_reply(finish: object) -> None:
    async with FaultServer(faults=[Fault(choice={"finish_reason": finish})]) as server:
        model = OpenAIModel("test", base_url=server.base_url)
        assert (await model.complete(sample_request())).finish == "unknown"
        await model.close()


@pytest.mark.parametrize(
    ("asked", "wait"),
    [
        ("1", 1.0),
        ("0.2", 0.2),
        ("200", 200.0),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("inf", None),
        (None, None),
    ],
)
async def test_retry_after_in_all_its_forms(asked: str | None, wait: float | None) -> None:
    async with FaultServer(faults=[rate_limited(asked)]) as server:
        error = await check_failure(lambda: OpenAIModel("m", base_url=server.base_url), RateLimited)
    assert error.retry_after == wait
    assert server.hits == 1


async def test_retry_after_as_a_date_and_in_milliseconds() -> None:
    sent, until = formatdate(1_700_000_000, usegmt=True), formatdate(1_700_000_030, usegmt=True)
    dated = Fault(status=429, headers={"Date": sent, "Retry-After": until})
    short = Fault(status=503, headers={"Retry-After-Ms": "1500", "Retry-After": "9"})
    async with FaultServer(faults=[dated, short]) as server:
        first = await check_failure(lambda: OpenAIModel("m", base_url=server.base_url), RateLimited)
        second = await check_failure(lambda: OpenAIModel("m", base_url=server.base_url), ProviderUnavailable)
    assert (first.retry_after, second.retry_after) == (30.0, 1.5)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_overflow_in_every_vendors_words(vendor: str) -> None:
    async with FaultServer(max_context=32, overflow=vendor) as server:
        error = await check_failure(lambda: OpenAIModel("m", base_url=server.base_url), ContextOverflow)
    assert isinstance(error, ContextOverflow)
    size = -(-len("\n".join(message.content for message in sample_request().messages)) // 4)
    assert (error.limit, error.actual) == ((None, None) if vendor == "ollama" else (32, size))
    assert server.hits == 1


async def test_a_reply_clamped_without_a_word_is_not_whole() -> None:
    async with FaultServer("word " * 200, max_context=60, clamp=True) as server:
        model = OpenAIModel("m", base_url=server.base_url)
        reply = await model.complete(sample_request())
        await model.close()
    assert reply.finish == "length" and len(reply.text) < 200


async def test_every_cut_of_a_body_is_an_error_or_the_whole_reply() -> None:
    async with FaultServer("A reply of some words.") as server:
        model = OpenAIModel("m", base_url=server.base_url)
        whole = await model.complete(sample_request())
        await model.close()
    outcomes: list[str] = []
    ends: tuple[tuple[End, bool], ...] = (("close", False), ("reset", False), ("keep", True))
    for end, clean in ends:
        faults = [Fault(cut=at, end=end, clean=clean) for at in range(0, 340, 17)]
        async with FaultServer("A reply of some words.", faults=faults) as server:
            model = OpenAIModel("m", base_url=server.base_url)
            for _ in faults:
                try:
                    outcomes.append("whole" if await model.complete(sample_request()) == whole else "damaged")
                except ModelError as error:
                    outcomes.append(error.code)
            await model.close()
        assert server.hits == len(faults)
    assert set(outcomes) == {"ProviderUnavailable"}


async def test_no_server_and_no_such_host() -> None:
    for host in ("127.0.0.1:1", "no-such-host.invalid"):
        base_url = f"http://somebody:secret@{host}/v1"
        error = await check_failure(lambda: OpenAIModel("m", base_url=base_url), ProviderUnavailable)  # noqa: B023
        assert error.retryable and error.status is None
        assert f" at {host}: " in str(error) and "secret" not in str(error)


@pytest.mark.parametrize(
    "body", ["[]", "null", '"text"', '{"choices": {}}', '{"choices": [3]}', '{"choices": [{"message": "hi"}]}', "{}"]
)
async def test_json_that_is_no_completion(body: str) -> None:
    async with FaultServer(faults=[Fault(body=body)]) as server:
        await check_failure(lambda: OpenAIModel("m", base_url=server.base_url), InvalidReply)


@pytest.mark.parametrize(
    "usage", [None, {}, [], "none", {"prompt_tokens": None, "completion_tokens": "7"}, {"prompt_tokens": -1}]
)
async def test_usage_that_cannot_be_read_counts_nothing(usage: object) -> None:
    async with FaultServer(faults=[Fault(completion={"usage": usage})]) as server:
        model = OpenAIModel("m", base_url=server.base_url)
        reply = await model.complete(sample_request())
        await model.close()
    assert (reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens) == (0, 0, 0)
