"""Signals, closed pipes, full disks: the run ends as it should, says how to go on, and loses no paid reply."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from coa.testing import FAULTS, FaultServer


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"FACT-{i} stands here. {'The sea is grey and wide today. ' * 60}\n\n" for i in range(12)))
    return path


def ask(book: Path, server: FaultServer, *more: str) -> list[str]:
    model = ("--model", "openai:fake", "--base-url", server.base_url, "--window", "2048")
    return [sys.executable, "-m", "coa", "ask", str(book), "Which facts?", *model, "-q", *more]


def started(command: list[str], **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload]


def until(server: FaultServer, calls: int) -> None:
    deadline = time.monotonic() + 60
    while server.hits < calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.hits >= calls


def resumed(err: str) -> dict[str, object]:
    """What the run says when it is taken up by the line that it printed."""
    command = err.split("Finished calls are kept: ")[1].split()
    done = subprocess.run([sys.executable, "-m", *command, "--json", "-q"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_keeps_the_reply_on_its_way_and_nothing_is_paid_twice(
    book: Path, number: signal.Signals, code: int
) -> None:
    with FaultServer("facts", latency=0.5) as server:
        process = started(ask(book, server))
        until(server, 3)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, "")
        assert "Traceback" not in err
        usage = resumed(err)["usage"]
        assert isinstance(usage, dict)
        assert usage["calls_from_journal"] == 3
        assert server.hits == usage["calls"] + usage["calls_from_journal"]


@pytest.mark.slow
def test_a_second_signal_does_not_wait(book: Path) -> None:
    with FaultServer("facts", faults=[FAULTS["hang"]] * 9) as server:
        process = started(ask(book, server))
        until(server, 1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "coa resume ask-" in err and "Traceback" not in err


@pytest.mark.slow
def test_a_server_that_hangs_does_not_keep_a_stopped_run(book: Path) -> None:
    with FaultServer("facts", faults=[FAULTS["hang"]] * 9) as server:
        process = started(ask(book, server))
        until(server, 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and "coa resume ask-" in err


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


def limited(size: int) -> Callable[[], None]:
    """A limit on the size of files stands for a disk that is full: the system refuses the write in the same way."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_full_disk_ends_the_run_and_what_was_paid_for_stays(book: Path) -> None:
    with FaultServer("facts") as server:
        process = started(ask(book, server), preexec_fn=limited(40_000))
        out, err = process.communicate(timeout=60)
        assert process.returncode not in (0, 1) and out == "", err
        assert "hint:" in err and "Traceback" not in err
        (run,) = Path(os.environ["COA_RUN_DIR"]).iterdir()
        with closing(sqlite3.connect(run / "journal.db")) as db:
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)
            (kept,) = db.execute("select count(*) from calls").fetchone()
        assert 0 < kept < server.hits + 1
        paid = server.hits
        done = subprocess.run([sys.executable, "-m", "coa", "resume", run.name, "--json", "-q"], capture_output=True)
        usage = json.loads(done.stdout)["usage"]
        assert usage["calls_from_journal"] == kept
        assert server.hits - paid == usage["calls"] and paid - kept <= 1


@pytest.mark.slow
def test_a_run_directory_that_cannot_be_written_is_said_before_anything_is_sent(book: Path) -> None:
    with FaultServer("facts") as server:
        done = subprocess.run(ask(book, server, "--run-dir", "/proc/runs"), capture_output=True, text=True)
        assert done.returncode not in (0, 1) and "hint:" in done.stderr and "Traceback" not in done.stderr
        assert server.hits == 0
