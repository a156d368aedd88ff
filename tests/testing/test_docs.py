"""Every Python block of docs/testing.md runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from coa.testing import FAULTS

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_block_runs(block: str) -> None:
    result = subprocess.run([sys.executable, "-W", "error", "-c", block], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_names_every_fault() -> None:
    assert len(BLOCKS) == 3
    text = PAGE.read_text("utf-8")
    assert [name for name in FAULTS if f"`{name}`" not in text] == ["healthy"]
