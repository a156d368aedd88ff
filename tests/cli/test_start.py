"""How the command starts: a true interpreter, which the other tests spare themselves."""

import os
import signal
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from coa.__main__ import main


def test_ctrl_c_while_it_loads_leaves_no_traceback(tmp_path: Path, root: Path):
    """The signal comes in the midst of an import: typer's, which stands before the command line's own."""
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    ended = subprocess.run(
        [sys.executable, "-m", "coa", "--version"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(root)])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + signal.SIGINT, "", "")


def test_the_installed_command_starts_the_same_way(root: Path):
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    assert EntryPoint("coa", scripts["coa"], "console_scripts").load() is main
