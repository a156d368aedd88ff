"""The fault matrix, end to end: a chain over a real connection to a server that fails. See docs/reliability.md."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.config import Settings
from coa.errors import (
    AuthenticationFailed,
    CallTimeout,
    InvalidReply,
    ModelError,
    ProviderUnavailable,
    QuotaExceeded,
    RateLimited,
    RequestRejected,
    TruncatedReply,
)
from coa.testing import FAULTS, Fault, FaultServer

FACTS = 12
WINDOW = 1400


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"FACT-{i} stands here. {'The sea is grey today. ' * 90}\n\n" for i in range(FACTS)))
    return path


def ask(book: Path, server: FaultServer, **more: object) -> coa.Answer:
    options = {"window": WINDOW, "journal": False, "retries": 2} | more
    return coa.ask(book, "Which facts?", model="openai:fake", base_url=server.base_url, **options)  # type: ignore[arg-type]


def test_without_faults_nothing_is_lost(book: Path) -> None:
    with FaultServer("facts") as server:
        answer = ask(book, server)
        assert answer.status == "complete"
        assert all(f"FACT-{i}" in answer.text for i in range(FACTS))
        assert server.hits == answer.usage.calls


@pytest.mark.parametrize("fault", ["429", "500", "502", "503", "529", "408", "reset", "close", "short-body", "html"])
def test_what_passes_is_sent_again_and_nothing_is_lost(book: Path, fault: str) -> None:
    with FaultServer("facts", faults=[FAULTS[fault]]) as server:
        answer = ask(book, server)
        assert answer.status == "complete"
        assert server.hits == answer.usage.calls + 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", AuthenticationFailed),
        ("403", AuthenticationFailed),
        ("404", RequestRejected),
        ("400", RequestRejected),
        ("501", RequestRejected),
        ("quota", QuotaExceeded),
    ],
)
def test_what_cannot_pass_is_sent_once_and_the_hint_says_what_to_do(
    book: Path, fault: str, error: type[ModelError]
) -> None:
    with FaultServer("facts", faults=[FAULTS[fault]] * 3) as server:
        with pytest.raises(error) as caught:
            ask(book, server)
        assert server.hits == 1
        assert caught.value.hint


def test_a_dead_server_is_tried_as_often_as_allowed(book: Path) -> None:
    with FaultServer("facts", faults=[FAULTS["500"]] * 9) as server:
        with pytest.raises(ProviderUnavailable):
            ask(book, server, retries=1)
        assert server.hits == 2


@pytest.mark.parametrize("fault", ["hang", "hang-body", "trickle", "slow-headers"])
def test_the_deadline_of_a_call_is_whole(book: Path, fault: str) -> None:
    with FaultServer("facts", faults=[FAULTS[fault]] * 3) as server:
        began = time.monotonic()
        with pytest.raises((CallTimeout, ProviderUnavailable)):
            ask(book, server, timeout=0.6, retries=0)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("fault", ["empty", "none", "blank", "length", "no-finish", "filter", "refusal", "no-choices"])
def test_an_unusable_reply_is_asked_for_once_more(book: Path, fault: str) -> None:
    with FaultServer("facts", faults=[FAULTS[fault]]) as server:
        answer = ask(book, server)
        assert answer.status == "complete"
        assert all(f"FACT-{i}" in answer.text for i in range(FACTS))


@pytest.mark.parametrize("fault", ["empty", "filter", "refusal", "reasoning-only", "endless"])
def test_twice_unusable_is_a_part_not_read_and_said_so(book: Path, fault: str) -> None:
    with FaultServer("facts", faults=[None, FAULTS[fault], FAULTS[fault]]) as server:
        answer = ask(book, server)
        assert answer.status == "partial"
        (failed,) = answer.coverage.failed
        assert failed.span.end > failed.span.start
        assert failed.reason


@pytest.mark.parametrize("topology", ["chain", "tree", "map-then-chain"])
@pytest.mark.parametrize("cut", [2, 4])
def test_a_part_whose_reply_is_cut_twice_is_read_in_halves_and_nothing_is_lost(
    book: Path, topology: str, cut: int
) -> None:
    """Replies are cut about the part that holds FACT-5, as long as more than a half or a quarter is shown."""
    whole = 0

    def fault(_: int, body: Mapping[str, Any]) -> Fault | None:
        nonlocal whole
        prompt = str(body["messages"])
        if "FACT-5 stands" not in prompt or "grey today" not in prompt:
            return None
        sea = prompt.count("The sea is grey")
        whole = whole or sea
        return FAULTS["length"] if sea > whole // cut + 5 else None

    with FaultServer("facts", faults=fault) as server:
        answer = ask(book, server, topology=topology)
        assert server.hits == answer.usage.calls
    assert answer.status == "complete" and answer.coverage.complete
    assert all(f"FACT-{i}" in answer.text for i in range(FACTS))


def test_a_model_whose_replies_are_always_cut_costs_six_calls_a_part_and_ends_typed(book: Path) -> None:
    with FaultServer("facts", faults=lambda _index, _body: FAULTS["length"]) as server:
        with pytest.raises(InvalidReply, match="could be read"):
            ask(book, server)
        parts = coa.plan(book, "Which facts?", model="openai:fake", base_url=server.base_url, window=WINDOW).chunks
        # The last part may be too short to be read in quarters.
        assert 6 * (parts - 1) < server.hits <= 6 * parts


def test_a_final_text_that_is_cut_twice_ends_typed(book: Path) -> None:
    def manager(_: int, body: Mapping[str, Any]) -> Fault | None:
        return None if "The sea is grey" in str(body["messages"]) else FAULTS["length"]

    with FaultServer("facts", faults=manager) as server, pytest.raises(TruncatedReply) as caught:
        ask(book, server)
    assert caught.value.hint


def test_a_server_that_only_says_nothing_gives_no_answer(book: Path) -> None:
    with FaultServer("facts", faults=[FAULTS["empty"]] * 200) as server, pytest.raises(InvalidReply):
        ask(book, server)


@pytest.mark.parametrize("limit", [900, 1100])
def test_a_server_with_a_smaller_window_than_declared_loses_nothing(book: Path, limit: int) -> None:
    with FaultServer("facts", max_context=limit) as server:
        answer = ask(book, server)
        assert answer.status == "complete"
        assert all(f"FACT-{i}" in answer.text for i in range(FACTS))


def test_a_wait_that_is_too_long_ends_the_run_and_says_how_long(book: Path) -> None:
    from coa.testing.fault import rate_limited

    with FaultServer("facts", faults=[rate_limited("200")]) as server:
        with pytest.raises(RateLimited) as caught:
            ask(book, server)
        assert server.hits == 1
        assert "200" in caught.value.message


@pytest.mark.parametrize("most", [1, 4, 7])
def test_a_limit_of_calls_is_never_exceeded(book: Path, most: int) -> None:
    with FaultServer("facts", faults=[FAULTS["500"], None, FAULTS["length"]]) as server:
        with pytest.raises(coa.errors.BudgetExceeded):
            ask(book, server, max_calls=most)
        assert server.hits <= most + 1


def run_at_a_fifth(book: Path, seed: int) -> tuple[int, int]:
    """How many requests the server saw, and how many a server without faults would have seen."""
    with FaultServer("facts", fault_rate=0.2, seed=seed) as server:
        answer = ask(book, server, retries=Settings().retries)
        assert answer.status == "complete"
        assert all(f"FACT-{i}" in answer.text for i in range(FACTS))
        return server.hits, answer.usage.calls


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_hundred_runs_finish_at_a_fifth_of_faults(book: Path, record_property: Callable[[str, str], None]) -> None:
    """The runs wait far more than they work, so sixteen go side by side."""
    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(partial(run_at_a_fifth, book), range(200)))
    seen, clean = (sum(column) for column in zip(*runs, strict=True))
    record_property("requests a call over 200 runs", f"{seen / clean:.2f}")
    assert seen <= 1.3 * clean
