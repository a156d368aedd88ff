"""`coa complete`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

MASTER = "harbour/master.py"


def test_the_command_prints_the_lines_alone(coa, root: Path, tmp_path: Path):
    repo = root / "examples/repository"
    line = (repo / MASTER).read_text().split("\n").index("        self._quay.assign_berth(ship, berth)") + 1
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"worker": ["[[class Quay:]]"], "manager": ["self._quay.x[1]"]}))
    command = ("complete", str(repo), "--file", MASTER, "--line", str(line), "--model", f"scripted:{script}", "-q")
    assert coa(*command).out == "        self._quay.x[1]\n"
    shown = coa(*command, "--json").json()
    assert shown["citations"][0]["quote"] == "class Quay:" and shown["usage"]["calls"] == 0
    assert "parts, topology chain" in coa("plan", *command).out
    assert coa("complete", str(repo), "--file", MASTER, "--line", "999").code == 2
