"""Real processes for tests, without the second that each would spend on imports.

`Processes` keeps two interpreters that have loaded everything and forks one of them for each command: a process of its
own, with its environment, folder, pipes, signals and exit code. The two hash differently and take turns, so that a
run that is killed in one and taken up in the other does not lean on the order of a set. What only a true start shows
(what is imported and when, the entry point) is tested with `subprocess`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, TextIO

NURSERY = Path(__file__).with_name("nursery.py")
LONGEST = 100.0
"""Seconds that a process may take until it ends."""
PIPE = 65_536
"""Bytes that fit into a pipe which nobody reads yet."""


@dataclass(frozen=True)
class Ended:
    """What a process left: its exit code (negative for a signal) and all that it had printed and nobody had read."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


class Process:
    """A process at work: its id, and what it prints as it comes."""

    def __init__(self, status: TextIO, out: TextIO, err: TextIO, codes: Counter[int]) -> None:
        self._status, self.out, self.err, self._codes = status, out, err, codes
        self.pid = int(status.readline())

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, longest: float = LONGEST) -> Ended:
        """Wait for it; kill it if it takes longer."""
        with self._status, self.out, self.err, ThreadPoolExecutor(2) as readers:
            reading = [readers.submit(stream.read) for stream in (self.out, self.err)]
            if wait(reading, longest).not_done:
                self.signal(signal.SIGKILL)
            out, err = (each.result() for each in reading)
            code = int(self._status.readline())
        self._codes[code] += 1
        return Ended(code, out, err)


class Processes:
    """Starts `python ARGUMENTS`: forks of two interpreters that are started when the first process is wanted.

    Attributes:
        codes: How many processes ended with which exit code.
    """

    def __init__(self) -> None:
        self.codes: Counter[int] = Counter()
        self._stack = ExitStack()
        self._doors: dict[str, socket.socket] = {}
        self._turns = cycle(("1", "2"))

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        largest_file: int | None = None,
        anew: bool = False,
    ) -> Process:
        """Start one.

        Args:
            arguments: What follows `python`: `-m MODULE ...`, `-c CODE ...` or `FILE ...`, after `-W error` or not.
            stdin: What it finds on standard input; a pipe's capacity at most.
            env: Added to the environment of the tests.
            largest_file: Bytes that a file of it may have; the system refuses to write more.
            anew: Load every module of coa again, as a process of one's own would, and in its order.
        """
        order = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(Path.cwd()),
            "env": {**os.environ, **(env or {})},
            "largest_file": largest_file,
            "anew": anew,
        }
        (read_in, write_in), (read_out, write_out), (read_err, write_err), (read_status, write_status) = (
            os.pipe() for _ in range(4)
        )
        assert len(stdin) <= PIPE
        os.write(write_in, stdin)
        os.close(write_in)
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps(order).encode())
            file.seek(0)
            given = [file.fileno(), read_in, write_out, write_err, write_status]
            socket.send_fds(self._door(next(self._turns)), [b"."], given)
            for descriptor in given[1:]:
                os.close(descriptor)
        status, out, err = (os.fdopen(each, encoding="utf-8") for each in (read_status, read_out, read_err))
        return Process(status, out, err, self.codes)

    def run(self, *arguments: str | Path, **more: Any) -> Ended:
        """Start one and wait for its end."""
        return self.start(*arguments, **more).end()

    def _door(self, seed: str) -> socket.socket:
        """The way into the interpreter with this hash seed."""
        if seed not in self._doors:
            ours, theirs = socket.socketpair()
            with theirs:
                command = [sys.executable, str(NURSERY), str(theirs.fileno())]
                env = {**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"}
                process = subprocess.Popen(command, env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
            self._stack.callback(process.wait)
            self._doors[seed] = self._stack.enter_context(ours)
        return self._doors[seed]
