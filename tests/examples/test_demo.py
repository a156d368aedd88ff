"""`scripts/demo` as the README gives it, from another folder; the environment that it would make is this one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """The parts of a clone that the script touches, with the environment at hand."""
    made = tmp_path / "a clone"
    for name in ("examples", "coa"):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).symlink_to(root / name)
    scripts = {
        "scripts/demo": (root / "scripts/demo").read_text(),
        "scripts/setup": "#!/bin/sh\nexit 0\n",
        ".venv/bin/coa": f'#!/bin/sh\nexec {sys.executable} -m coa "$@"\n',
    }
    for name, text in scripts.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
        (made / name).chmod(0o755)
    return made


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("--words", "60", "-q"), "", "lighthouse_log.txt"),
        (("my book.txt", "-q"), "", "my book.txt:1"),
        (("-", "-q"), "The keeper is Martha. She lives on the rock.", "-:1"),
    ],
)
def test_a_file_is_looked_for_where_the_command_was_given(
    clone: Path, root: Path, tmp_path: Path, arguments: tuple[str, ...], stdin: str, says: str
) -> None:
    (tmp_path / "my book.txt").write_text("The keeper is Martha. She lives on the rock.")
    ended = subprocess.run(
        [str(clone / "scripts/demo"), *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert says in ended.stdout
    assert (says == "lighthouse_log.txt") == ("lighthouse_log.txt" in ended.stdout)
