"""What is left when the process dies: SIGKILL, SIGINT, and two processes on one run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coa.testing import FaultServer
from tests.processes import Process, Processes

Start = Callable[..., Process]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"FACT-{i} stands here. {'The sea is grey and wide today. ' * 120}\n\n" for i in range(30)))
    return path


@pytest.fixture
def ask(processes: Processes, book: Path) -> Start:
    def start(server: FaultServer, *more: str) -> Process:
        model = ("--model", "openai:fake", "--base-url", server.base_url, "--window", "4096")
        return processes.start("-m", "coa", "ask", book, "Which facts?", *model, "-q", *more)

    return start


def until(server: FaultServer, calls: int) -> None:
    deadline = time.monotonic() + 30
    while server.hits < calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.hits >= calls


def test_a_killed_run_goes_on_with_the_same_result_and_repeats_at_most_the_call_in_flight(
    ask: Start, processes: Processes
) -> None:
    with FaultServer("facts", latency=0.02) as server:
        expected = ask(server, "--no-journal").end().out
        clean = server.hits
        victim = ask(server)
        until(server, clean + 8)
        victim.signal(signal.SIGKILL)
        assert victim.end().code == -signal.SIGKILL
        (run,) = (path.name for path in Path(os.environ["COA_RUN_DIR"]).iterdir())
        again = processes.run("-m", "coa", "resume", run, "-q")
        assert (again.code, again.out) == (0, expected)
        assert server.hits - clean <= clean + 1


def test_an_interrupted_run_says_how_to_resume(ask: Start) -> None:
    with FaultServer("facts", latency=0.05) as server:
        process = ask(server)
        until(server, 3)
        process.signal(signal.SIGINT)
        ended = process.end(longest=15)
        assert (ended.code, ended.out) == (130, "")
        assert "coa resume ask-book.txt-" in ended.err
        assert "Traceback" not in ended.err


def test_a_run_has_one_writer(ask: Start) -> None:
    with FaultServer("facts", latency=0.5) as server:
        first = ask(server)
        until(server, 2)
        second = ask(server).end()
        assert second.code == 7
        assert str(first.pid) in second.err
        first.signal(signal.SIGTERM)
        assert first.end().code == 143
