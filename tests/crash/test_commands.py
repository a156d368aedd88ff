"""SIGKILL at every call of every command: `coa resume` says the same, and pays again only for the calls in flight."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from coa.runtime.runs import Runs
from coa.testing import Fault, FaultServer

from . import commands
from .commands import COMMANDS, Command

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


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


class House:
    """A server, the process that runs commands, and the files that they read."""

    def __init__(self, server: FaultServer, killer: Killer, nursery: subprocess.Popen[str], files: Path) -> None:
        self.server, self.killer, self.files, self._nursery = server, killer, files, nursery

    def run(self, folder: Path, *words: str, stdin: bool = False) -> Ended:
        folder.mkdir(parents=True, exist_ok=True)
        out = folder / "out"
        env = {
            "COA_RUN_DIR": str(folder / "runs"),
            "COA_CONFIG": str(folder / "none.toml"),
            "COA_MODEL": "openai:fake",
            "COA_BASE_URL": self.server.base_url,
        }
        text = (self.files / "short.txt").read_text() if stdin else None
        assert self._nursery.stdin is not None and self._nursery.stdout is not None
        asked = {"arguments": words, "env": env, "stdin": text, "out": str(out)}
        self._nursery.stdin.write(json.dumps(asked) + "\n")
        self._nursery.stdin.flush()
        self.killer.pid = int(self._nursery.stdout.readline())
        self.killer.known.set()
        code = int(self._nursery.stdout.readline())
        return Ended(code, commands.result(out.read_text()), out.with_name("out.err").read_text())

    def whole(self, command: Command, folder: Path) -> tuple[Ended, int]:
        """What the command says unbroken, and its calls."""
        self.killer.arm(0)
        ended = self.run(folder, *self.words(command), stdin=command.stdin)
        assert ended.code == 0, ended.err
        return ended, self.killer.seen

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
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    killer = Killer()
    program = str(Path(__file__).with_name("nursery.py"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with (
        FaultServer(commands.speak, faults=killer) as server,
        subprocess.Popen([sys.executable, program], env=env, **pipes) as nursery,
    ):
        yield House(server, killer, nursery, commands.files(tmp_path_factory.mktemp("files")))
        nursery.stdin.close()  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["questions", "aggregate", "write"])
def test_a_command_killed_in_the_middle_is_resumed(house: House, tmp_path: Path, name: str) -> None:
    command = COMMANDS[name]
    whole, calls = house.whole(command, tmp_path / "whole")
    house.check(command, tmp_path / "killed", (calls + 1) // 2, whole.out, calls)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_at_any_call_is_resumed(
    house: House, tmp_path: Path, name: str, record_property: Callable[[str, str], None]
) -> None:
    command = COMMANDS[name]
    whole, calls = house.whole(command, tmp_path / "whole")
    again = [house.check(command, tmp_path / str(k), k, whole.out, calls) for k in range(1, calls + 1)]
    record_property(f"{name}: kills, of {calls} calls; most paid again", f"{len(again)}; {max(again)}")
