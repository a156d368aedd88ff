"""Every Python block of the documentation runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from coa.testing import FAULTS

ROOT = Path(__file__).parents[2]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_block_runs(block: str) -> None:
    if "import torch" in block or "coa.testing.reader" in block:
        pytest.importorskip("torch", reason="needs torch: the full test run installs it")
    result = subprocess.run([sys.executable, "-W", "error", "-c", block], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_page_names_every_fault() -> None:
    assert len(BLOCKS) >= 4
    text = (ROOT / "docs" / "testing.md").read_text("utf-8")
    assert [name for name in FAULTS if f"`{name}`" not in text] == ["healthy"]
