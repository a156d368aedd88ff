"""`coa aggregate`, as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

SCHEMA = {
    "title": "Call",
    "properties": {"ship": {"type": "string"}, "cargo": {"type": "string"}, "nights": {"type": "integer"}},
    "required": ["ship", "nights"],
}


def test_rows_figures_plans_and_errors(coa, root: Path, tmp_path: Path):
    schema = tmp_path / "call.json"
    schema.write_text(json.dumps(SCHEMA))
    ledger = str(root / "examples/documents/harbour_dues.txt")
    command = ("aggregate", ledger, "--schema", str(schema), "-q")
    shown = coa(*command, "--max", "nights")
    assert shown.code == 0 and shown.out.splitlines()[2].split()[:3] == ["Margarethe", "timber", "7"]
    assert "harbour_dues.txt:" in shown.out
    found = coa(*command, "--where", "cargo=salt", "--group-by", "ship", "--sum", "nights", "--json").json()
    assert [line["values"] for line in found["result"]] == [
        {"ship": "Heron", "sum of nights": 3},
        {"ship": "Kittiwake", "sum of nights": 1},
    ]
    assert found["usage"]["calls"] == 0 and len(found["rows"]) == 6 and found["rejected"] == []
    row = found["rows"][0]["evidence"][0]
    assert Path(ledger).read_text()[row["start"] : row["end"]].startswith("Ship: Heron")
    plan = coa("plan", *command, "--model", "scripted:echo").out
    assert "calls       1," in plan
    assert coa(*command, "--max", "dues").code == 2
    assert coa(*command, "--join", str(schema)).code == 2
    run = coa(*command, "--max", "nights", "--json").json()["run_id"]
    assert coa("resume", run, "-q", "--json").json()["result"][0]["values"]["nights"] == 7
