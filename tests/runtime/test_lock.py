"""One writer a run: who has it is named, who died has it no longer, and a run that was removed is nobody's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

import coa
from coa.errors import RunLocked, StorageFailed
from coa.runtime.lock import Owner, held, is_held
from coa.runtime.runs import Runs
from coa.testing import ScriptedModel

HOLDER = """
import sys
from pathlib import Path
from coa.runtime.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "run-1").mkdir()
    return tmp_path / "run-1" / "lock"


@contextmanager
def holder(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], **pipes) as process:  # type: ignore[call-overload]
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_message_names_who_has_it_and_a_dead_owner_has_it_no_longer(lock: Path):
    with holder(lock) as process:
        assert is_held(lock)
        with pytest.raises(RunLocked, match=f"'run-1' belongs to process {process.pid} on ") as caught, held(lock):
            pass
        assert caught.value.exit_code == 7
        process.kill()
        process.wait()
        assert not is_held(lock)
        assert str(process.pid) in lock.read_text()
        with held(lock):
            assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not is_held(lock)


def test_two_holders_in_one_process_are_two(lock: Path):
    with held(lock), pytest.raises(RunLocked, match="'run-1' is at work in this process") as caught, held(lock):
        pass
    assert "run_dir" in caught.value.hint


@pytest.mark.parametrize("junk", [b"", b"{}", b"no json", b'{"pid": "x", "host": 3}' + b" " * 600])
def test_what_stands_in_the_file_is_a_note_and_the_lock_is_the_systems(lock: Path, junk: bytes):
    lock.write_bytes(junk)
    assert not is_held(lock)
    with held(lock):
        assert is_held(lock)


def test_a_lock_that_is_nowhere_is_held_by_nobody_and_a_folder_that_is_gone_is_said(tmp_path: Path):
    assert not is_held(tmp_path / "none")
    with pytest.raises(StorageFailed), held(tmp_path / "none" / "lock"):
        pass


def test_a_process_elsewhere_is_taken_to_live():
    assert Owner(pid=os.getpid(), host=os.uname().nodename).alive()
    assert Owner(pid=2**22 + 1, host="another-machine").alive()
    assert not Owner(pid=2**22 + 1, host=os.uname().nodename).alive()
    assert Owner(pid=1, host=os.uname().nodename).alive()


def test_pruning_leaves_a_run_at_work_alone(tmp_path: Path):
    book = tmp_path / "book.txt"
    book.write_text("The boat is green. " * 20)
    runs = Runs(tmp_path / "runs")
    made = [
        coa.ask(book, f"Question {n}?", model=ScriptedModel(lambda _: "Green.", window=4096), run_dir=tmp_path / "runs")
        for n in range(3)
    ]
    ids = {answer.run_id for answer in made}
    busy = made[1].run_id
    assert runs.prune(timedelta(hours=1)) == []
    with holder(runs.folder_of(busy) / "lock"):
        with pytest.raises(RunLocked):
            runs.remove(busy)
        assert set(runs.prune(timedelta(0))) == ids - {busy}
        assert [manifest.run_id for manifest in runs.list()] == [busy]
    assert runs.prune(timedelta(0)) == [busy]
    assert runs.list() == []
