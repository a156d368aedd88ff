"""Which parameters a server is sent, and what is learned from its refusals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coa.serving.dialect import Dialect, dialect_for, known_window
from coa.serving.errors import Failure, failure_of
from coa.testing.conformance import sample_request

REQUEST = replace(sample_request(), max_tokens=64, temperature=0.0, seed=3)


@pytest.mark.parametrize("name", ["gpt-5-mini", "gpt-5.4", "gpt-6-sol", "o1", "o4-mini"])
def test_openais_reasoning_models(name: str) -> None:
    sent = dialect_for(name, official=True).parameters(name, REQUEST)
    assert sent["max_completion_tokens"] == 64 and sent["reasoning_effort"] == "low"
    assert "max_tokens" not in sent and "temperature" not in sent


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4.1-mini", "gpt-5-chat-latest", "gpt-oss-120b"])
def test_openais_other_models(name: str) -> None:
    sent = dialect_for(name, official=True).parameters(name, REQUEST)
    assert sent["max_completion_tokens"] == 64 and sent["temperature"] == 0.0
    assert "reasoning_effort" not in sent


def test_another_server_gets_the_old_spelling_whatever_the_name() -> None:
    sent = dialect_for("gpt-5-mini", official=False).parameters("gpt-5-mini", REQUEST)
    assert (sent["max_tokens"], sent["temperature"], sent["seed"]) == (64, 0.0, 3)


@pytest.mark.parametrize(
    ("start", "body", "expected"),
    [
        (
            Dialect(),
            {"message": "Unsupported parameter", "param": "max_tokens"},
            Dialect(limit="max_completion_tokens"),
        ),
        (
            Dialect(limit="max_completion_tokens"),
            {"message": "Unrecognized request argument supplied: max_completion_tokens"},
            Dialect(),
        ),
        (
            Dialect(),
            {"message": "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."},
            Dialect(limit="max_completion_tokens"),
        ),
        (
            Dialect(),
            {"message": "'temperature' does not support 0 with this model.", "param": "temperature"},
            Dialect(temperature=False),
        ),
        (Dialect(), {"message": "seed: Extra inputs are not permitted"}, Dialect(seed=False)),
        (
            Dialect(effort="low"),
            {"message": "Unsupported value: 'reasoning_effort' does not support 'low'."},
            Dialect(effort=None),
        ),
        (Dialect(), {"message": "Unknown model."}, None),
        (Dialect(), {"message": "max_tokens is too large"}, None),
        (Dialect(temperature=False), {"message": "unsupported: temperature"}, None),
    ],
)
def test_refusals_teach_a_spelling(start: Dialect, body: dict[str, str], expected: Dialect | None) -> None:
    assert start.after(failure_of(400, {"error": body}, {})) == expected


def test_only_a_refused_request_teaches() -> None:
    assert Dialect().after(Failure(status=500, message="Unsupported parameter: max_tokens")) is None
    assert Dialect().after(Failure(timed_out=True)) is None


def test_what_was_learned_is_left_out() -> None:
    sent = Dialect(temperature=False, seed=False).parameters("m", REQUEST)
    assert "temperature" not in sent and "seed" not in sent


def test_windows() -> None:
    assert known_window("gpt-5-chat-latest") == 128_000
    assert known_window("my-own-model") is None
