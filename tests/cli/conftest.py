import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


@pytest.fixture
def coa() -> Callable[..., Ended]:
    """Run the real command in a process of its own."""

    def run(*arguments: str, stdin: bytes | None = None, **env: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "coa", *arguments],
            input=stdin or b"",
            capture_output=True,
            env={**os.environ, **env},
        )
        assert b"Traceback" not in done.stderr
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run
