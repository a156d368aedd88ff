"""The launcher with a stand-in for vLLM: a real process with a real server and a child of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.errors import MissingExtra, ProviderUnavailable, UsageError
from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm.launch import PYTHON_VARIABLE, Interpreter, Launch, interpreter, running
from coa.serving.vllm.probe import healthy, probe
from coa.serving.vllm.profiles import HEADS_FILE

SERVER = """
import argparse, json, os, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
parser = argparse.ArgumentParser()
parser.add_argument("--model"); parser.add_argument("--host"); parser.add_argument("--port", type=int)
parser.add_argument("--max-model-len", type=int, default=4096)
options, rest = parser.parse_known_args()
print("starting", options.model, rest, flush=True)
if "crash" in options.model:
    sys.exit("out of memory: the model does not fit")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
window = 1024 if "short" in options.model else options.max_model_len
BODIES = {
    "/health": "",
    "/version": json.dumps({"version": "0.32.0"}),
    "/v1/models": json.dumps({"data": [{"id": options.model, "max_model_len": window}]}),
    "/metrics": 'vllm:prefix_cache_queries_total{model="m"} 200.0\\nvllm:prefix_cache_hits_total{model="m"} 150.0\\n',
}
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.path in BODIES and "mute" not in options.model
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(BODIES.get(self.path, "").encode() if known else b"")
    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *args): pass
HTTPServer((options.host, options.port), Handler).serve_forever()
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "lib" / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").write_text("")
    (package / "api_server.py").write_text(SERVER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "lib"))
    return sys.executable


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    yield number


def gone(log: Path) -> bool:
    """Whether the child that the log names has ended, given a moment to do so."""
    pid = int(log.read_text().split("child ")[1].split()[0])
    end = time.monotonic() + 20
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_says_what_runs_and_leaves_nothing_behind(python: str, port: int, tmp_path: Path):
    log = tmp_path / "log"
    with running(
        Launch(model="tiny", port=port, context=2048, wait=30), log, found=Interpreter(python=python)
    ) as found:
        assert found.models == ("tiny",) and found.window == 2048 and found.version == "0.32.0"
        assert (found.prefix_queries, found.prefix_hits) == (200, 150)
        assert healthy(f"http://127.0.0.1:{port}")
        assert alive(int(log.read_text().split("child ")[1].split()[0]))
        done = CliRunner().invoke(app, ["vllm", "--check", f"http://127.0.0.1:{port}/v1"])
        assert "75% of 200" in done.stdout and "2,048 tokens" in done.stdout
    assert not healthy(f"http://127.0.0.1:{port}") and gone(log)


def test_a_crash_shows_the_last_lines(python: str, port: int, tmp_path: Path):
    with (
        pytest.raises(ProviderUnavailable, match="out of memory"),
        running(Launch(model="crash", port=port, wait=30), tmp_path / "log", found=Interpreter(python=python)),
    ):
        pass


def test_a_server_that_is_never_ready_is_stopped(python: str, port: int, tmp_path: Path):
    with (
        pytest.raises(ProviderUnavailable, match="not ready within"),
        running(Launch(model="mute", port=port, wait=1.5), tmp_path / "log", found=Interpreter(python=python)),
    ):
        pass
    assert gone(tmp_path / "log")


def test_another_window_than_the_one_asked_for_is_an_error(python: str, port: int, tmp_path: Path):
    with (
        pytest.raises(ProviderUnavailable, match="1024 tokens instead of 2048"),
        running(
            Launch(model="short", port=port, context=2048, wait=30), tmp_path / "log", found=Interpreter(python=python)
        ),
    ):
        pass
    assert gone(tmp_path / "log")


def test_mistakes_are_found_before_anything_starts(python: str, port: int, tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wrong = [
            Launch(model="tiny", port=taken.getsockname()[1]),
            Launch(model="/no/such/folder", port=port),
            Launch(model="tiny", port=port, profile="lserve"),
            Launch(model="tiny", port=port, profile="magic"),
        ]
        for launch in wrong:
            with pytest.raises(UsageError), running(launch, tmp_path / "log", found=Interpreter(python=python)):
                pass
    assert not (tmp_path / "log").exists()


def test_a_sparse_profile_wants_the_plug_in_beside_vllm(python: str, port: int, tmp_path: Path):
    launch = Launch(model="tiny", port=port, profile="xattention")
    with pytest.raises(MissingExtra, match="not our plug-in"):
        launch.command(Interpreter(python=python))
    there = Interpreter(python=python, plugin=True)
    assert launch.command(there)[-3:] == ["--attention-backend", "COA_SPARSE", "--enforce-eager"]
    assert "--attention-backend" not in launch.command(Interpreter(python=python, plugin=True, cpu=True))
    with (
        pytest.raises(ProviderUnavailable, match="dense attention instead of xattention"),
        running(Launch(model="tiny", port=port, profile="xattention", wait=30), tmp_path / "log", found=there),
    ):
        pass
    assert gone(tmp_path / "log")


def test_a_table_of_heads_in_the_models_folder_is_used(tmp_path: Path):
    (tmp_path / HEADS_FILE).write_text("1 0\n")
    config = Launch(model=str(tmp_path), profile="lserve").sparse
    assert config is not None and config.heads_file == str(tmp_path / HEADS_FILE)
    assert Launch(model="tiny", profile="streaming").sparse == SparseConfig(method="streaming")


def test_an_interpreter_without_vllm_is_named(tmp_path: Path):
    for python in (sys.executable, str(tmp_path / "absent")):
        with pytest.raises(MissingExtra, match="has no vLLM"):
            interpreter({PYTHON_VARIABLE: python})


def test_dead_and_strange_servers(port: int):
    with pytest.raises(ProviderUnavailable, match="does not answer"):
        probe(f"http://127.0.0.1:{port}")
    with pytest.raises(UsageError):
        probe("nonsense")


def test_the_command_shows_what_it_would_run():
    done = CliRunner().invoke(app, ["vllm", "tiny", "--context", "2048", "--dry-run", "--", "--dtype", "float32"])
    assert "--max-model-len 2048" in done.stdout and done.stdout.strip().endswith("--dtype float32")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(python: str, port: int, tmp_path: Path, number: signal.Signals):
    log = tmp_path / "log"
    arguments = ["-m", "coa", "vllm", "tiny", "--port", str(port), "--log", str(log)]
    process = subprocess.Popen([python, *arguments], stderr=subprocess.PIPE, env=os.environ)
    try:
        end = time.monotonic() + 30
        while not healthy(f"http://127.0.0.1:{port}") and time.monotonic() < end:
            time.sleep(0.1)
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(7)]
        assert any(b"--model vllm:tiny" in line for line in lines)
        process.send_signal(number)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()
    assert gone(log) and not healthy(f"http://127.0.0.1:{port}")
