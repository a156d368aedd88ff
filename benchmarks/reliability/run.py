"""The fault matrix by promise: runs its tests, slow ones too, and prints what they counted.

    python benchmarks/reliability/run.py [--matrix | --repeats N [--kills K]]

With ``--repeats`` it runs the crash tests alone, so many times, to find one that passes by luck; ``--kills`` kills each
command at so many of its calls, drawn anew each time, instead of at all of them.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
CRASHES = ("tests/crash", "tests/cli/test_crash.py", "tests/writing/test_kill.py", "tests/retrieval/test_killed.py")
CLIENTS = tuple(str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests/serving").glob("test_*.py")))
Group = tuple[str, tuple[str, ...]]
MATRIX: tuple[Group, ...] = (
    ("faults of servers, forged citations", ("tests/faults",)),
    ("kills, signals, two writers", CRASHES),
    ("properties: progress, records", ("tests/property",)),
)
BESIDES: tuple[Group, ...] = (
    ("journal, lock, limits, deadlines", ("tests/runtime",)),
    ("hostile documents, fences", ("tests/documents", "tests/agents", "tests/test_prompts.py")),
    ("places of cuts", ("tests/test_split.py", "tests/test_split_places.py")),
    ("clients and vendors' wordings", CLIENTS),
)


@dataclass(slots=True)
class Row:
    """What a group of tests gave."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    kills: int = 0
    figures: list[str] = field(default_factory=list[str])


def main() -> int:
    """Run the matrix, or the crash tests many times; print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--matrix", action="store_true", help="only the faults, the kills and the properties")
    parser.add_argument("--repeats", type=int, default=0, help="run the crash tests alone, so often")
    parser.add_argument("--kills", type=int, help="calls at which each command is killed; all by default")
    args = parser.parse_args()
    if args.repeats:
        options = [f"--repeats={args.repeats}", *([] if args.kills is None else [f"--kills={args.kills}"])]
        rows = [(f"crash tests, {args.repeats} times", measured(CRASHES, *options))]
    else:
        rows = [(name, measured(paths)) for name, paths in (*MATRIX, *(() if args.matrix else BESIDES))]
    print("| what | passed | failed | skipped | kills | s | CPU s | figures |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows:
        print(shown(name, row))
    print(f"\nthe first three: {clock(rows[:3])}\nall: {clock(rows)}")
    return 1 if any(row.failed for _, row in rows) else 0


def clock(rows: list[tuple[str, Row]]) -> str:
    """What some rows took together."""
    seconds, processor = sum(row.seconds for _, row in rows), sum(row.processor for _, row in rows)
    return f"{seconds:.0f} s, with {processor:.0f} s of processor time: {processor / 2:.0f} s on each of two cores"


def shown(name: str, row: Row) -> str:
    """A line of the table."""
    counts = f"{row.passed} | {row.failed} | {row.skipped} | {row.kills} | {row.seconds:.0f} | {row.processor:.0f}"
    return f"| {name} | {counts} | {'; '.join(row.figures)} |"


def measured(paths: tuple[str, ...], *options: str) -> Row:
    """Run the tests under some paths."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-m", "slow or not slow"]
        command += ["-o", "junit_family=xunit1", f"--junitxml={report}"]  # Newer families hold no figures.
        before = processor_time()
        subprocess.run([*command, *options, *paths], cwd=ROOT, stdout=sys.stderr, check=False)
        row = read(ET.parse(report).getroot())
        row.processor = processor_time() - before
        return row


def processor_time() -> float:
    """Seconds of all processes that were started here and have ended: on a busy machine the clock says less."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read(report: ET.Element) -> Row:
    """Counts of a JUnit report, and the figures that tests recorded."""
    row = Row()
    for suite in report.iter("testsuite"):
        row.seconds += float(suite.get("time", 0))
    for case in report.iter("testcase"):
        row.failed += any(case.find(tag) is not None for tag in ("failure", "error"))
        row.skipped += case.find("skipped") is not None
        row.passed += len([child for child in case if child.tag in ("failure", "error", "skipped")]) == 0
        for figure in case.iter("property"):
            if figure.get("name") == "kills":
                row.kills += int(figure.get("value", 0))
            else:
                row.figures.append(f"{figure.get('name')}: {figure.get('value')}")
    row.figures = sorted(set(row.figures))
    return row


if __name__ == "__main__":
    sys.exit(main())
