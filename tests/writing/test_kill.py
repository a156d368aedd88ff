"""SIGKILL in the middle of writing: the next run goes on, and the bytes are those of an unbroken one."""

import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.processes import Processes

VICTIM = """
import asyncio, sys
from pathlib import Path
from coa.config import Settings
from coa.testing import ScriptedModel
from coa.testing.writers import biased_writer
from coa.writing.run import WriteOptions, write
inner = biased_writer(0.7)
async def reply(request):
    await asyncio.sleep(0.01)
    print("call", flush=True)
    return await inner.complete(request)
model = ScriptedModel(reply, window=200_000, name="scripted:writer")
options = WriteOptions(words=8_000, parallel=3)
answer = asyncio.run(write("A guide.", Settings(run_dir=Path(sys.argv[1])), options, model=model))
Path(sys.argv[2]).write_text(answer.text, "utf-8")
print("replayed", answer.usage.calls_from_journal, flush=True)
"""
IN_FLIGHT = 3


def finish(processes: Processes, folder: Path, out: Path) -> tuple[int, int]:
    """Calls sent and calls replayed."""
    lines = processes.run("-c", VICTIM, folder, out).out.split("\n")
    return lines.count("call"), int(next(line for line in lines if line.startswith("replayed")).split()[1])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_ten_points_it_writes_the_same_bytes(
    processes: Processes, tmp_path: Path, repeat: int, places: Callable[[int], Sequence[int]]
):
    whole, _ = finish(processes, tmp_path / "whole", tmp_path / "whole.md")
    possible = places(whole - 1)
    for at in random.Random(repeat).sample(possible, min(10, len(possible))):
        folder, out = tmp_path / f"run{at}", tmp_path / f"out{at}.md"
        victim = processes.start("-c", VICTIM, folder, out)
        for _ in range(at):
            assert victim.out.readline()
        victim.signal(signal.SIGKILL)
        victim.end()
        sent, replayed = finish(processes, folder, out)
        assert out.read_bytes() == (tmp_path / "whole.md").read_bytes()
        assert sent + replayed == whole and replayed >= at - IN_FLIGHT
