"""SIGKILL at every call of every command: `coa resume` says the same, and pays again only for the calls in flight."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from coa.runtime.runs import Runs
from coa.testing import Fault, FaultServer
from tests.processes import Ended, Processes

from . import commands
from .commands import COMMANDS, Command

Places = Callable[[int], Sequence[int]]

GONE = Fault(cut=0, end="close")


@dataclass
class Killer:
    """Kills the command when the server gets its ``at``-th request, before that is answered."""

    at: int = 0
    seen: int = 0
    pid: int = 0
    known: threading.Event = field(default_factory=threading.Event)

    def __call__(self, _: int, __: Any) -> Fault | None:
        self.seen += 1
        if self.seen != self.at:
            return None
        self.known.wait(10)
        os.kill(self.pid, signal.SIGKILL)
        return GONE

    def arm(self, at: int) -> None:
        self.at, self.seen = at, 0
        self.known.clear()


class House:
    """A server, the processes that run commands, and the files that they read."""

    def __init__(self, server: FaultServer, killer: Killer, processes: Processes, files: Path) -> None:
        self.server, self.killer, self.files, self._processes = server, killer, files, processes
        self._wholes: dict[str, tuple[Ended, int]] = {}

    def run(self, folder: Path, *words: str, stdin: bool = False) -> Ended:
        folder.mkdir(parents=True, exist_ok=True)
        env = {
            "COA_RUN_DIR": str(folder / "runs"),
            "COA_CONFIG": str(folder / "none.toml"),
            "COA_MODEL": "openai:fake",
            "COA_BASE_URL": self.server.base_url,
        }
        text = (self.files / "short.txt").read_bytes() if stdin else b""
        with chdir(folder):
            process = self._processes.start("-m", "coa", *words, stdin=text, env=env)
        self.killer.pid = process.pid
        self.killer.known.set()
        ended = process.end()
        return replace(ended, out=commands.result(ended.out))

    def whole(self, command: Command, folder: Path) -> tuple[Ended, int]:
        """What the command says unbroken, and its calls; found out once."""
        if command.words not in self._wholes:
            self.killer.arm(0)
            ended = self.run(folder, *self.words(command), stdin=command.stdin)
            assert ended.code == 0, ended.err
            self._wholes[command.words] = ended, self.killer.seen
        return self._wholes[command.words]

    def words(self, command: Command) -> list[str]:
        return [*command.arguments(self.files), "-q", "--concurrency", str(command.concurrency)]

    def check(self, command: Command, folder: Path, k: int, expected: str, calls: int) -> int:
        """Kill at the k-th call, resume, compare; the number of calls that were paid again."""
        self.killer.arm(k)
        killed = self.run(folder, *self.words(command), stdin=command.stdin)
        assert killed.code == -signal.SIGKILL, (k, killed)
        paid = self.killer.seen
        stopped = [run.run_id for run in Runs(folder / "runs").list() if run.status == "interrupted"]
        assert len(stopped) == 1
        self.killer.arm(0)
        resumed = self.run(folder, "resume", stopped[0], "-q", "--concurrency", str(command.concurrency))
        assert (resumed.code, resumed.out) == (0, expected), (k, resumed.err)
        again = paid + self.killer.seen - calls
        assert 1 <= again <= command.concurrency + command.anew
        return again


@pytest.fixture(scope="module")
def house(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    killer = Killer()
    with FaultServer(commands.speak, faults=killer) as server:
        yield House(server, killer, processes, commands.files(tmp_path_factory.mktemp("files")))


@pytest.mark.parametrize("name", [pytest.param("questions", marks=pytest.mark.slow), "aggregate", "write"])
def test_a_command_killed_in_the_middle_is_resumed(house: House, tmp_path: Path, name: str) -> None:
    command = COMMANDS[name]
    whole, calls = house.whole(command, tmp_path / "whole")
    house.check(command, tmp_path / "killed", (calls + 1) // 2, whole.out, calls)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_call_is_resumed(
    house: House, tmp_path: Path, name: str, places: Places, record_property: Callable[[str, str], None]
) -> None:
    command = COMMANDS[name]
    whole, calls = house.whole(command, tmp_path / "whole")
    again = [house.check(command, tmp_path / str(k), k, whole.out, calls) for k in places(calls)]
    record_property(f"{name}: calls; most paid again", f"{calls}; {max(again)}")
