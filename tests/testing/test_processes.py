"""The processes that tests start are what they would be by themselves; and every module can be the first of all."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import time
from pathlib import Path

import pytest

import coa
from tests.processes import PIPE, Ended, Processes

NEED_MORE = """
coa.retrieval.adapters coa.retrieval.faiss coa.retrieval.lance coa.retrieval.longembed coa.serving.litellm
coa.serving.sparse coa.serving.vllm_plugin coa.testing.reader
""".split()  # noqa: SIM905 - and take seconds each where they are installed
SHOWN = """
import json, os, sys
print(json.dumps([sys.argv, os.getcwd(), os.environ.get('A'), sys.stdin.read(), hash('a')]))
"""


def test_it_has_its_own_arguments_folder_environment_and_input_and_hashes_differently(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("A", "of the test")
    stdin = "é" * (PIPE // 2)
    first = processes.run("-c", SHOWN, "x y", stdin=stdin.encode(), env={"A": "its own"}).out
    second = processes.run("-c", SHOWN).out
    *shown, hashed = json.loads(first)
    assert shown == [["-c", "x y"], str(tmp_path), "its own", stdin]
    *shown, hashed_there = json.loads(second)
    assert shown == [["-c"], str(tmp_path), "of the test", ""]
    assert hashed != hashed_there


@pytest.mark.parametrize(
    ("code", "ended"),
    [
        ("import sys; sys.exit(3)", Ended(3, "", "")),
        ("import sys; sys.exit('no')", Ended(1, "", "no\n")),
        ("import atexit; atexit.register(print, 'last'); print('first')", Ended(0, "first\nlast\n", "")),
        ("from threading import Timer; Timer(0.1, print, ['later']).start()", Ended(0, "later\n", "")),
        ("import os; os.kill(os.getpid(), 9)", Ended(-signal.SIGKILL, "", "")),
    ],
)
def test_it_ends_as_an_interpreter_does(processes: Processes, code: str, ended: Ended) -> None:
    assert processes.run("-c", code) == ended


def test_an_error_is_a_traceback_and_code_one(processes: Processes) -> None:
    ended = processes.run("-c", "1/0")
    assert ended.code == 1 and ended.err.endswith("ZeroDivisionError: division by zero\n")


def test_signals_reach_it_as_they_reach_any_other(processes: Processes) -> None:
    waiting = [processes.start("-c", "import time; print('on', flush=True); time.sleep(60)") for _ in range(3)]
    assert [process.out.readline() for process in waiting] == ["on\n"] * 3
    for process, number in zip(waiting, (signal.SIGINT, signal.SIGTERM, signal.SIGKILL), strict=True):
        process.signal(number)
    ended = [process.end() for process in waiting]
    assert [each.code for each in ended] == [-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL]
    assert "KeyboardInterrupt" in ended[0].err
    assert processes.start("-c", "import time; time.sleep(60)").end(longest=0.1).code == -signal.SIGKILL


def test_what_is_left_behind_is_ended_with_the_tests() -> None:
    with Processes() as others:
        left = others.start("-c", "import time; print('on', flush=True); time.sleep(60)")
        assert left.out.readline() == "on\n"
    assert left.end().code == -signal.SIGKILL
    deadline = time.monotonic() + 5
    while Path(f"/proc/{left.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(left.pid, 0)


def test_modules_of_coa_are_loaded_anew_on_request(processes: Processes) -> None:
    code = "import json, sys; import coa; print(json.dumps([name for name in sys.modules if name.startswith('coa')]))"
    assert len(json.loads(processes.run("-c", code).out)) > 100
    assert len(json.loads(processes.run("-c", code, anew=True).out)) < 20


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_module_can_be_the_first_to_be_imported(processes: Processes) -> None:
    names = [module.name for module in pkgutil.walk_packages(coa.__path__, "coa.", onerror=lambda _: None)]
    assert len(names) > 200
    failed: dict[str, str] = {}
    for name in names:
        if not name.startswith(tuple(NEED_MORE)) and not name.endswith("__main__"):
            ended = processes.run("-c", f"import {name}", anew=True)
            failed |= {name: ended.err} if ended.code else {}
    assert not failed
