"""SIGKILL at every write of a run's journal: the resumed run says the same, and pays at most for the call in flight."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import Process, Processes

VICTIM = Path(__file__).with_name("victim.py")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("book") / "book.txt"
    path.write_text("".join(f"Entry {n}. {'The sea is grey and wide today. ' * 33}\n\n" for n in range(32)))
    return path


@dataclass(frozen=True)
class Victims:
    """Runs over a book, each in a folder of its own."""

    processes: Processes
    book: Path

    def start(self, folder: Path, k: int = 0, when: str = "never") -> Process:
        return self.processes.start(VICTIM, self.book, folder / "runs", folder / "hits", str(k), when)


@pytest.fixture(scope="module")
def victims(processes: Processes, book: Path) -> Victims:
    return Victims(processes, book)


def paid(folder: Path) -> int:
    return len((folder / "hits").read_text().splitlines())


@pytest.fixture(scope="module")
def clean(victims: Victims, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    folder = tmp_path_factory.mktemp("clean")
    done = victims.start(folder).end()
    assert done.code == 0, done.err
    return done.out, paid(folder)


def check(victims: Victims, folder: Path, clean: tuple[str, int], k: int, when: str) -> None:
    text, calls = clean
    assert victims.start(folder, k, when).end().code == -signal.SIGKILL
    again = victims.start(folder).end()
    assert (again.code, again.out) == (0, text), again.err
    assert paid(folder) - calls == (1 if when == "before" else 0)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("k", [1, 30])
def test_a_killed_run_goes_on(victims: Victims, tmp_path: Path, clean: tuple[str, int], k: int, when: str) -> None:
    check(victims, tmp_path, clean, k, when)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_at_any_write_goes_on(
    victims: Victims, tmp_path: Path, clean: tuple[str, int], places: Callable[[int], Sequence[int]]
) -> None:
    _, calls = clean
    assert calls >= 40
    for k in places(calls):
        folder = tmp_path / str(k)
        folder.mkdir()
        check(victims, folder, clean, k, "before" if k % 2 else "after")


@pytest.mark.slow
def test_eight_processes_on_one_run_make_no_call_twice(
    victims: Victims, tmp_path: Path, clean: tuple[str, int]
) -> None:
    text, calls = clean
    ended = [process.end() for process in [victims.start(tmp_path) for _ in range(8)]]
    assert paid(tmp_path) == calls
    won = [each.out for each in ended if each.code == 0]
    assert won and set(won) == {text}
    assert all("RunLocked" in each.err for each in ended if each.code != 0)
