"""When a model has failed for good, the next one takes over, and the answer says so."""

from pathlib import Path

import pytest

import coa
from coa.config import Settings
from coa.errors import AuthenticationFailed, UsageError
from coa.runtime.prices import Price, dearest
from coa.serving.resolve import resolve_fallbacks
from coa.testing import FAULTS, FaultServer

NOTES = "The keeper is Martha Quill."


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text("Martha Quill keeps the light on Gull Stack. " * 200)
    return path


def test_the_next_model_takes_over_and_the_answer_says_so(book: Path) -> None:
    with FaultServer(NOTES, faults=[FAULTS["401"]] * 9) as server:
        answer = coa.ask(
            book,
            "Who keeps the light?",
            model="openai:first",
            base_url=server.base_url,
            fallback=("offline",),
            window=1200,
            journal=False,
        )
        assert server.hits == 1
    assert "Quill" in answer.text
    assert answer.status == "complete"
    assert any("offline took over" in warning for warning in answer.warnings)


def test_without_a_fallback_the_failure_stands(book: Path) -> None:
    with FaultServer(NOTES, faults=[FAULTS["401"]] * 9) as server, pytest.raises(AuthenticationFailed):
        coa.ask(book, "Who?", model="openai:first", base_url=server.base_url, window=1200, journal=False)


def test_the_address_is_for_the_first_models_provider_only() -> None:
    settings = Settings(model="vllm:a", base_url="http://127.0.0.1:9/v1", fallback=("vllm:b", "openai:gpt-4o"))
    same, other = resolve_fallbacks(settings)
    assert "127.0.0.1:9" in str(vars(same).get("base_url"))
    assert "127.0.0.1:9" not in str(vars(other).get("base_url"))


def test_a_fallback_that_does_not_exist_is_found_before_anything_is_sent(book: Path) -> None:
    with pytest.raises(UsageError):
        coa.ask(book, "Who?", model="offline", fallback=("nonsense",), journal=False)


def test_the_budget_reserves_at_the_dearest_price() -> None:
    cheap, dear = Price(prompt=1.0, reply=8.0), Price(prompt=3.0, reply=4.0)
    assert dearest([cheap]) == cheap
    worst = dearest([cheap, dear])
    assert worst is not None and (worst.prompt, worst.reply) == (3.0, 8.0)
    assert dearest([cheap, None]) is None
