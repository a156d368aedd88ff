"""Signals, closed pipes, full disks: the run ends as it should, says how to go on, and loses no paid reply."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coa.testing import FAULTS, FaultServer
from tests.processes import Ended, Process, Processes

Start = Callable[..., Process]


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"FACT-{i} stands here. {'The sea is grey and wide today. ' * 60}\n\n" for i in range(12)))
    return path


@pytest.fixture
def ask(processes: Processes, book: Path) -> Start:
    def start(server: FaultServer, *more: str, **limits: Any) -> Process:
        model = ("--model", "openai:fake", "--base-url", server.base_url, "--window", "2048")
        return processes.start("-m", "coa", "ask", book, "Which facts?", *model, "-q", *more, **limits)

    return start


def until(server: FaultServer, calls: int) -> None:
    deadline = time.monotonic() + 60
    while server.hits < calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.hits >= calls


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_a_stopped_run_keeps_the_reply_on_its_way_and_nothing_is_paid_twice(
    ask: Start, coa: Callable[..., Ended], number: signal.Signals, code: int
) -> None:
    with FaultServer("facts", latency=0.5) as server:
        process = ask(server)
        until(server, 3)
        process.signal(number)
        ended = process.end(longest=30)
        assert (ended.code, ended.out) == (code, "")
        assert "Traceback" not in ended.err
        name, *to_resume = ended.err.split("Finished calls are kept: ")[1].split()
        assert name == "coa"
        usage = coa(*to_resume, "--json", "-q").json()["usage"]
        assert usage["calls_from_journal"] == 3
        assert server.hits == usage["calls"] + usage["calls_from_journal"]


@pytest.mark.slow
def test_a_second_signal_does_not_wait(ask: Start) -> None:
    with FaultServer("facts", faults=[FAULTS["hang"]] * 9) as server:
        process = ask(server)
        until(server, 1)
        process.signal(signal.SIGINT)
        time.sleep(0.2)
        process.signal(signal.SIGINT)
        ended = process.end(longest=30)
        assert ended.code == 130
        assert "coa resume ask-" in ended.err and "Traceback" not in ended.err


@pytest.mark.slow
def test_a_server_that_hangs_does_not_keep_a_stopped_run(ask: Start) -> None:
    with FaultServer("facts", faults=[FAULTS["hang"]] * 9) as server:
        process = ask(server)
        until(server, 1)
        process.signal(signal.SIGINT)
        ended = process.end(longest=30)
        assert ended.code == 130 and "coa resume ask-" in ended.err


def test_who_stops_reading_the_result_gets_no_traceback(book: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "coa", "text", str(book)]
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_result_that_cannot_be_written_is_a_typed_error(book: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "coa", "text", str(book)], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 5, done.stderr
    assert "hint:" in done.stderr and "Traceback" not in done.stderr


def test_a_full_disk_ends_the_run_and_what_was_paid_for_stays(ask: Start, coa: Callable[..., Ended]) -> None:
    """A limit on the size of files stands for a disk that is full: the system refuses the write in the same way."""
    with FaultServer("facts") as server:
        ended = ask(server, largest_file=40_000).end()
        assert ended.code not in (0, 1) and ended.out == "", ended.err
        assert "hint:" in ended.err and "Traceback" not in ended.err
        (run,) = Path(os.environ["COA_RUN_DIR"]).iterdir()
        with closing(sqlite3.connect(run / "journal.db")) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            (kept,) = db.execute("select count(*) from calls").fetchone()
        assert 0 < kept < server.hits + 1
        paid = server.hits
        usage = coa("resume", run.name, "--json", "-q").json()["usage"]
        assert usage["calls_from_journal"] == kept
        assert server.hits - paid == usage["calls"] and paid - kept <= 1


@pytest.mark.slow
def test_a_run_directory_that_cannot_be_written_is_said_before_anything_is_sent(ask: Start) -> None:
    with FaultServer("facts") as server:
        ended = ask(server, "--run-dir", "/proc/runs").end()
        assert ended.code not in (0, 1) and "hint:" in ended.err and "Traceback" not in ended.err
        assert server.hits == 0
