"""How much memory a file takes at its peak, measured in processes that do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from coa.documents import Limits
from coa.documents.pdf_process import reader_command

LOADING = """
import json, resource, sys
from coa.documents import load
from coa.errors import InputError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
for warm in sys.argv[2:]:
    load(warm)
before, said = peak(), "loaded"
try:
    load(sys.argv[1])
except InputError as error:
    said = error.code
print(json.dumps([said, peak() - before]))
"""
READING = """
import json, resource, subprocess, sys
with open(sys.argv[1], "rb") as file:
    subprocess.run(json.loads(sys.argv[2]), stdin=file, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def _said(*command: object) -> str:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True).stdout


def measured(path: Path, *warm: Path) -> tuple[str, float]:
    """What became of a file, and how many megabytes more than other files it took in the process that loads it."""
    said, more = json.loads(_said(sys.executable, "-c", LOADING, path, *warm))
    return said, more


def reader_peak(path: Path, limits: Limits) -> float:
    """Megabytes of the process that reads a PDF. (A child counts what its parent held when it was started, so the
    parent here is a Python without anything.)"""
    command = json.dumps(reader_command(limits, path.stat().st_size))
    return float(_said(sys.executable, "-I", "-S", "-c", READING, path, command))
