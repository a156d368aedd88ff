"""Where results and notes go: files that cannot be written, closed and full streams, links and devices."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ASK = "Who keeps the light on Gull Stack?"


@pytest.fixture
def log(root: Path) -> str:
    return str(root / "examples/documents/lighthouse_log.txt")


def shell(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A true shell, since only it can close a stream before the command starts; ``$@`` are the arguments."""
    words = ["bash", "-c", command, "bash", sys.executable, "-m", "coa", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("option", ["-o", "--html"])
@pytest.mark.parametrize(("name", "problem"), [("none/x.txt", "there is no folder"), (".", "it is a folder")])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_asked(
    coa, log: str, tmp_path: Path, option: str, name: str, problem: str
):
    ended = coa("ask", log, ASK, option, str(tmp_path / name))
    assert ended.code == 5
    assert problem in ended.err
    assert "--run-dir" not in ended.err
    assert coa("runs").out == ""


@pytest.mark.parametrize("name", ["book.rtf", "book.tar"])
def test_a_format_that_cannot_be_written_is_refused_before_anything_is_written(
    coa, log: str, tmp_path: Path, name: str
):
    ended = coa("write", "The light", "--source", log, "--words", "200", "-o", str(tmp_path / name))
    assert (ended.code, ended.out) == (2, "")
    assert "no format to write" in ended.err
    assert coa("runs").out == ""


def test_the_file_of_a_link_is_replaced_and_whom_the_umask_lets_may_read_it(coa, log: str, tmp_path: Path):
    target, link = tmp_path / "real.txt", tmp_path / "link.txt"
    link.symlink_to(target)
    assert coa("ask", log, ASK, "-q", "-o", str(link)).code == 0
    assert link.is_symlink()
    assert "Martha Quill" in target.read_text()
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".real")] == []


def test_what_is_no_file_is_written_to_and_a_dash_is_standard_output(coa, log: str, tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert coa("ask", log, ASK, "-q", "-o", str(pipe)).code == 0
    assert b"Martha Quill" in os.read(reading, 65_536)
    os.close(reading)
    assert "Martha Quill" in coa("ask", log, ASK, "-q", "-o", "-").out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_notes_that_nobody_can_read_do_not_cost_the_result(log: str):
    for stderr in ("2>/dev/full", "2>&-"):
        ended = shell(f'"$@" {stderr}', "ask", log, ASK, "--json")
        assert ended.returncode == 0
        assert ended.stdout.startswith("{")
        assert ended.stdout.count("\n") == 1


def test_a_closed_standard_output_and_input_are_said(log: str):
    ended = shell('"$@" >&-', "text", log)
    assert (ended.returncode, ended.stderr.count("hint:")) == (5, 1)
    assert "there is no standard output" in ended.stderr
    ended = shell('"$@" <&-', "text", "-")
    assert ended.returncode == 2
    assert "nothing is piped in" in ended.stderr
