"""What is left when the process dies: SIGKILL, SIGINT, and two processes on one run."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coa.testing import FaultServer


@pytest.fixture
def book(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text("".join(f"FACT-{i} stands here. {'The sea is grey and wide today. ' * 120}\n\n" for i in range(30)))
    return path


def command(book: Path, base_url: str, *more: str) -> list[str]:
    model = ("--model", "openai:fake", "--base-url", base_url, "--window", "4096")
    return [sys.executable, "-m", "coa", "ask", str(book), "Which facts?", *model, "-q", *more]


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)
    )


async def until(server: FaultServer, calls: int) -> None:
    deadline = time.monotonic() + 30
    while server.hits < calls and time.monotonic() < deadline:  # noqa: ASYNC110 - the server counts, it does not signal
        await asyncio.sleep(0.01)
    assert server.hits >= calls


async def test_a_killed_run_goes_on_with_the_same_result_and_repeats_at_most_the_call_in_flight(book: Path):
    async with FaultServer("facts", latency=0.02) as server:
        whole = await start(*command(book, server.base_url, "--no-journal"))
        expected, _ = await whole.communicate()
        clean = server.hits
        victim = await start(*command(book, server.base_url))
        await until(server, clean + 8)
        victim.send_signal(signal.SIGKILL)
        await victim.communicate()
        (run,) = (path.name for path in Path(os.environ["COA_RUN_DIR"]).iterdir())  # noqa: ASYNC240
        again = await start(sys.executable, "-m", "coa", "resume", run, "-q")
        text, _ = await again.communicate()
        assert again.returncode == 0
        assert text == expected
        assert server.hits - clean <= clean + 1


async def test_an_interrupted_run_says_how_to_resume(book: Path):
    async with FaultServer("facts", latency=0.05) as server:
        process = await start(*command(book, server.base_url))
        await until(server, 3)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 5)
        assert process.returncode == 130
        assert out == b""
        assert b"coa resume ask-book.txt-" in err
        assert b"Traceback" not in err


async def test_a_run_has_one_writer(book: Path):
    async with FaultServer("facts", latency=0.5) as server:
        first = await start(*command(book, server.base_url))
        await until(server, 2)
        second = await start(*command(book, server.base_url))
        _, err = await second.communicate()
        assert second.returncode == 7
        assert str(first.pid).encode() in err
        first.terminate()
        await first.communicate()
        assert first.returncode == 143
