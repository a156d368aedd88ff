"""SIGKILL at every write of a run's journal: the resumed run says the same, and pays at most for the call in flight."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

VICTIM = Path(__file__).with_name("victim.py")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text("".join(f"Entry {n}. {'The sea is grey and wide today. ' * 33}\n\n" for n in range(32)))
    return path


def run(book: Path, folder: Path, k: int, when: str) -> subprocess.CompletedProcess[bytes]:
    arguments = (book, folder / "runs", folder / "hits", k, when)
    return subprocess.run([sys.executable, str(VICTIM), *map(str, arguments)], capture_output=True)


def paid(folder: Path) -> int:
    return len((folder / "hits").read_text().splitlines())


@pytest.fixture(scope="module")
def clean(book: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, int]:
    folder = tmp_path_factory.mktemp("clean")
    done = run(book, folder, 0, "never")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout, paid(folder)


def check(book: Path, folder: Path, clean: tuple[bytes, int], k: int, when: str) -> None:
    text, calls = clean
    killed = run(book, folder, k, when)
    assert killed.returncode == -signal.SIGKILL
    again = run(book, folder, k, "never")
    assert again.stdout == text
    assert paid(folder) - calls == (1 if when == "before" else 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("k", [1, 30])
def test_a_killed_run_goes_on(book: Path, tmp_path: Path, clean: tuple[bytes, int], k: int, when: str) -> None:
    check(book, tmp_path, clean, k, when)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_any_write_goes_on(book: Path, tmp_path: Path, clean: tuple[bytes, int]) -> None:
    _, calls = clean
    assert calls >= 40
    for k in range(1, calls + 1):
        folder = tmp_path / str(k)
        folder.mkdir()
        check(book, folder, clean, k, "before" if k % 2 else "after")


@pytest.mark.slow
def test_eight_processes_on_one_run_make_no_call_twice(book: Path, tmp_path: Path, clean: tuple[bytes, int]) -> None:
    text, calls = clean
    arguments = [str(each) for each in (book, tmp_path / "runs", tmp_path / "hits", 0, "never")]
    started = [
        subprocess.Popen([sys.executable, str(VICTIM), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    ended = [(process.communicate(), process.returncode) for process in started]
    assert paid(tmp_path) == calls
    won = [out for (out, _), code in ended if code == 0]
    assert won and set(won) == {text}
    assert all(b"RunLocked" in err for (_, err), code in ended if code != 0)
