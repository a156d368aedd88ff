"""Every Python block of the documentation runs as it stands there."""

from __future__ import annotations

import re
from contextlib import chdir
from pathlib import Path

import pytest

from coa.testing import FAULTS
from tests.processes import Processes

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(processes: Processes, block: str) -> None:
    if "import torch" in block or "coa.testing.reader" in block:
        pytest.importorskip("torch", reason="needs torch: the full test run installs it")
    with chdir(ROOT):
        ended = processes.run("-W", "error", "-c", block, anew=True)
    assert ended.code == 0, ended.err


def test_the_page_names_every_fault() -> None:
    assert len(BLOCKS) >= 4
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    assert [name for name in FAULTS if f"`{name}`" not in text] == ["healthy"]
