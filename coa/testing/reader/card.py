"""The model card: ``python -m coa.testing.reader.card FOLDER`` writes README.md from the log and the measured gates."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from coa.testing.reader.gates import HEAD, Measured
from coa.testing.reader.lexicon import RELATIONS
from coa.testing.reader.world import names


def write(folder: Path, where: str = "") -> Path:
    """Write the card of a trained reader from ``log.jsonl``, ``config.json`` and ``gates.json`` in its folder."""
    rows = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    last: dict[str, Any] = json.loads(rows[-1])
    config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    gates = [Measured(**each) for each in json.loads((folder / "gates.json").read_text(encoding="utf-8"))]
    path = folder / "README.md"
    path.write_text(
        files("coa.testing.reader")
        .joinpath("card.md")
        .read_text(encoding="utf-8")
        .format(
            millions=parameters(config) / 1e6,
            trained=len(names(False)),
            held_out=len(names(True)),
            relations=len(RELATIONS),
            seed=last["seed"],
            steps=last["step"],
            tokens=last["tokens"] / 1e6,
            minutes=last["seconds"] / 60,
            where=f" on {where}" if where else "",
            shape=", ".join(f"{key} {config[key]}" for key in _SIZES),
            table=HEAD + "".join(each.row + "\n" for each in gates),
        ),
        encoding="utf-8",
    )
    return path


_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
)


def parameters(config: dict[str, Any]) -> int:
    """Numbers in the checkpoint, the table of pieces counted once."""
    width, head = config["hidden_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    attention = (width + 1) * (queries + 2 * keys) + (queries + 1) * width
    layer = attention + 3 * width * config["intermediate_size"] + 2 * width
    return config["vocab_size"] * width + config["num_hidden_layers"] * layer + width


def main(argv: list[str] | None = None) -> int:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--where", default="", help="the hardware that trained it")
    options = parser.parse_args(argv)
    sys.stdout.write(f"{write(options.folder, options.where)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
