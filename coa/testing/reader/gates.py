"""What the reader can do: ``python -m coa.testing.reader.gates [FOLDER] [--n N]`` prints a table beside the goals.

All names are held out from training. An answer is right if the generated text is right to the last character.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from coa.testing.reader import load, tasks
from coa.testing.reader.documents import PLAIN
from coa.testing.reader.measures import (
    HOPS,
    MISSING,
    UPDATED,
    Measure,
    best_half,
    chained,
    exact,
    forged_update,
    full_attention,
    left_out,
    planted_order,
    product,
    streaming_only,
)
from coa.testing.reader.reading import Reading
from coa.testing.reader.served import same_text


@dataclass(frozen=True, slots=True)
class Gate:
    """A measure with its goal: at least, or below (None: only told)."""

    name: str
    measure: Measure
    least: float | None = None
    below: float | None = None

    @property
    def goal(self) -> str:
        """As the table shows it."""
        return f">= {self.least}" if self.least is not None else f"< {self.below}" if self.below is not None else ""

    def met(self, share: float) -> bool | None:
        """Whether a share of right answers reaches the goal; None where there is none."""
        if self.least is not None:
            return share >= self.least
        return share < self.below if self.below is not None else None


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of a gate."""

    gate: str
    goal: str
    right: int
    asked: int
    met: bool | None
    seconds: float

    @property
    def row(self) -> str:
        """A line of the table."""
        verdict = {True: "yes", False: "**no**", None: ""}[self.met]
        share = f"{self.right / max(1, self.asked):.3f} ({self.right}/{self.asked})"
        return f"| {self.gate} | {self.goal} | {share} | {verdict} |"


HEAD = "| gate | goal | measured | met |\n|---|---|---|---|\n"
GATES = (
    Gate("6 facts in filler, 256 tokens", exact(tokens=256, facts=6, mix=PLAIN)),
    Gate("6 facts in filler, 1k tokens", exact(tokens=1000, facts=6, mix=PLAIN)),
    Gate("6 facts in filler, 2k tokens", exact(tokens=2000, facts=6, mix=PLAIN), least=0.99),
    Gate("6 facts in filler, 4k tokens", exact(tokens=4000, facts=6, mix=PLAIN)),
    Gate("6 facts in filler, 8k tokens", exact(tokens=8000, facts=6, mix=PLAIN)),
    Gate("dense facts (one in 24 tokens), 2k", exact(tokens=2000, facts=83, mix=PLAIN), least=0.95),
    Gate("`Update:` wins, 512 tokens", exact(tokens=512, facts=8, mix=UPDATED), least=0.95),
    Gate("`Update:` wins, 2k tokens", exact(tokens=2000, facts=20, mix=UPDATED)),
    Gate("absent, 512 tokens", exact(tokens=512, facts=8, mix=MISSING), least=0.97),
    Gate("absent, 2k tokens", exact(tokens=2000, facts=20, mix=MISSING)),
    Gate("two hops, 512 tokens", exact(tokens=512, facts=8, mix=HOPS, kind="two hops"), least=0.8),
    Gate("leave-one-out ranks the gold passage first", left_out, least=0.98),
    Gate("a forged `Update:` turns the answer, its removal turns it back", forged_update),
    Gate("a planted order turns the answer, its removal turns it back", planted_order),
    Gate("chain over 2 chunks", chained(2)),
    Gate("chain over 8 chunks", chained(8)),
    Gate("chain over 32 chunks", chained(32), least=0.9),
    Gate("the same 32 chunks at once", chained(32, whole=True)),
    Gate("the product's worker prompt, 1k tokens", product(tasks.working, 1000)),
    Gate("the product's worker prompt, 2k tokens", product(tasks.working, 2000)),
    Gate("the product's manager, merger and verify prompts", product(tasks.managing, 1000)),
    Gate("the product's reader prompts, 2k tokens", product(tasks.whole, 2000)),
    Gate("the product's trace prompt, 1k tokens", product(tasks.tracing, 1000)),
    Gate("full attention, 512 tokens", full_attention),
    Gate("streaming heads only", streaming_only),
    Gate("the best half of the KV heads full, the others streaming", best_half),
)


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--n", type=int, default=200, help="answers for each gate")
    parser.add_argument("--only", help="gates whose name holds this")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--server", help="also compare with a server of this reader: http://127.0.0.1:8000/v1")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args(argv)
    model, tokenizer = load(options.folder)
    reading = Reading(model.to(options.device), tokenizer)
    sys.stdout.write(HEAD)
    found: list[Measured] = []
    served = Gate("vLLM's text is that of transformers", partial(same_text, base_url=options.server), least=1.0)
    for gate in [*GATES, served] if options.server else GATES:
        if options.only is None or options.only in gate.name:
            found.append(measured(gate, reading, options.n))
            sys.stdout.write(found[-1].row + "\n")
            sys.stdout.flush()
            if options.json is not None:
                options.json.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", "utf-8")
    return 0


def measured(gate: Gate, reading: Reading, n: int) -> Measured:
    """Run one gate."""
    start = time.monotonic()
    right, asked = gate.measure(reading, n)
    return Measured(
        gate.name, gate.goal, right, asked, gate.met(right / max(1, asked)), round(time.monotonic() - start, 1)
    )


if __name__ == "__main__":
    sys.exit(main())
