"""What a failure means: statuses, wordings, waits, and nothing secret in a message."""

from __future__ import annotations

import pytest

from coa import errors
from coa.serving.errors import Failure, failure_of, retry_after, to_error
from coa.serving.overflow import overflow_in
from coa.serving.scrub import Scrubber

BARE = Scrubber()

WORDINGS = [
    ("This model's maximum context length is 4097 tokens, however you requested 4116 tokens "
     "(3860 in your prompt; 256 for the completion).", 4097, 3860),
    ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens "
     "(8000 in the messages, 1000 in the completion).", 8192, 8000),
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.", 8192, 9001),
    ("This model's maximum context length is 1024 tokens. However, your prompt contains 15050 characters "
     "(more than 14336 characters, which is the upper bound)", 1024, None),
    ("This model's maximum context length is 1024 tokens. However, your prompt contains 1100 input tokens", 1024, 1100),
    ("This model's maximum context length is 1024 tokens. However, you requested 100 output tokens and your prompt "
     "contains at least 1025 input tokens", 1024, None),
    ("'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 4096 tokens "
     "and your request has 2104 input tokens (2000 > 4096 - 2104).", 4096, 2104),
    ("max_tokens=100000 cannot be greater than max_model_len=1024.", 1024, None),
    ("max_tokens must be at least 1, got 0.", None, None),
    ("prompt is too long: 202609 tokens > 200000 maximum", 200000, 202609),
    ("input length and `max_tokens` exceed context limit: 154690 + 64000 > 200000, decrease", 200000, 154690),
    ("The input token count (317740) exceeds the maximum number of tokens allowed (131072).", 131072, 317740),
    ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
     32768, 40000),
    ("request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", 4096, 5000),
    ("the request exceeds the available context size. try increasing the context size", None, None),
    ("Requested tokens (1025) exceed context window of 512", 512, 1025),
    ("the input length exceeds the context length", None, None),
    ("prompt too long; exceeded max context length by 123 tokens", None, None),
    ("Your input exceeds the context window of this model.", None, None),
    ("`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 100", 4096, 5000),
    ("Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 50000.",
     30000, 50000),
]  # fmt: skip


@pytest.mark.parametrize(("message", "limit", "actual"), WORDINGS)
def test_overflow_wordings(message: str, limit: int | None, actual: int | None) -> None:
    found = overflow_in(message, {})
    assert found is not None
    assert (found.limit, found.actual) == (limit, actual)


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "top_k must be at least 1, got 0.",
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000.",
        "The model does not exist.",
        "",
    ],
)
def test_refusals_about_something_else(message: str) -> None:
    assert overflow_in(message, {}) is None


def test_overflow_by_code_alone() -> None:
    found = overflow_in("No.", {"type": "exceed_context_size_error", "n_ctx": 4096, "n_prompt_tokens": 5000})
    assert found is not None and (found.limit, found.actual) == (4096, 5000)
    assert overflow_in("No.", {"code": "context_length_exceeded"}) is not None
    assert overflow_in("No.", {"param": "input_text"}) is not None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_overflow_needs_a_fitting_status(status: int) -> None:
    failure = Failure(status=status, message="prompt is too long")
    assert not isinstance(to_error(failure, model="m", scrubber=BARE), errors.ContextOverflow)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (402, None, errors.QuotaExceeded),
        (429, "insufficient_quota", errors.QuotaExceeded),
        (429, "rate_limit_exceeded", errors.RateLimited),
        (425, None, errors.ProviderUnavailable),
        (413, None, errors.RequestRejected),
        (302, None, errors.RequestRejected),
        (501, None, errors.RequestRejected),
        (599, None, errors.ProviderUnavailable),
        (400, "content_filter", errors.RefusedReply),
    ],
)
def test_statuses_and_codes(status: int, code: str | None, expected: type[errors.ModelError]) -> None:
    error = to_error(failure_of(status, {"message": "no", "code": code}, {}), model="m", scrubber=BARE)
    assert type(error) is expected
    assert error.status == status


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "inner"}}, "inner"),
        ({"error": "a text"}, "a text"),
        ([{"error": {"message": "in a list"}}], "in a list"),
        ({"detail": "from FastAPI"}, "from FastAPI"),
        ("plain words", "plain words"),
        ("<!doctype html><title>x</title>", "an HTML page"),
        (None, ""),
    ],
)
def test_bodies_of_every_shape(body: object, said: str) -> None:
    assert failure_of(400, body, {}).message == said


@pytest.mark.parametrize(
    ("message", "wait"),
    [
        ("Please try again in 1.5s.", 1.5),
        ("Please try again in 20ms.", 0.02),
        ("Please try again in 6m0s.", 360.0),
        ("Please retry in 30.25s.", 30.25),
        ("Please try again in a while.", None),
    ],
)
def test_waits_in_the_text(message: str, wait: float | None) -> None:
    error = to_error(Failure(status=429, message=message), model="m", scrubber=BARE)
    assert error.retry_after == wait


def test_dates_without_the_servers_clock_and_in_the_past() -> None:
    headers = {"retry-after": "Tue, 14 Nov 2023 22:13:40 GMT"}
    assert retry_after(headers, now=1_700_000_000) == 20.0
    assert retry_after(headers, now=1_800_000_000) == 0.0
    assert retry_after({"retry-after": "Tue, 99 Nov 2023 22:13:40 GMT"}) is None


def test_scrubbing_keeps_the_reason_and_takes_out_the_text() -> None:
    text = "It was the best of times, it was the worst of times."
    said = f"invalid input: {text!r} in field \x1b[31mmessages\u202e"
    cleaned = Scrubber((), [text]).clean(said)
    assert cleaned.startswith("invalid input: ") and "field" in cleaned
    assert "best of times" not in cleaned and "\x1b" not in cleaned and "\u202e" not in cleaned


def test_scrubbing_is_not_fooled_by_white_space() -> None:
    assert "letter" not in Scrubber((), ["the keeper  hid\n the letter"]).clean("bad: the keeper hid the letter")


def test_long_messages_are_cut() -> None:
    assert len(Scrubber().clean("word " * 10_000)) == 240


@pytest.mark.parametrize("word", ["skeleton keyboards-and-mice", "a sky-high figure", "risk-based"])
def test_words_that_only_look_like_keys_stay(word: str) -> None:
    assert Scrubber().clean(word) == word
