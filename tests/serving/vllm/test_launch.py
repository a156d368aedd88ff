"""The launcher with a stand-in for vLLM: a real process with a real server and a child of its own."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from coa.cli.main import app
from coa.cli.serving import told
from coa.errors import CoaError, MissingExtra, ModelError, ProviderUnavailable, UsageError
from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm import tiny
from coa.serving.vllm.diagnosis import why
from coa.serving.vllm.interpreter import PYTHON_VARIABLE, Interpreter, interpreter
from coa.serving.vllm.launch import Launch, running
from coa.serving.vllm.mistakes import check_model
from coa.serving.vllm.probe import Findings, healthy, probe
from coa.serving.vllm.profiles import HEADS_FILE
from coa.serving.vllm_plugin import CONFIG_VARIABLE

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
    ) as server:
        found = server.found
        assert found.models == ("tiny",) and found.window == 2048 and found.version == "0.32.0"
        assert (found.prefix_queries, found.prefix_hits) == (200, 150)
        assert healthy(f"http://127.0.0.1:{port}")
        assert alive(int(log.read_text().split("child ")[1].split()[0]))
        done = CliRunner().invoke(app, ["vllm", "--check", f"http://127.0.0.1:{port}/v1"])
        assert "75% of 200" in done.stdout and "2,048 tokens" in done.stdout
        assert "no chat completion" in done.stdout and isinstance(done.exception, ProviderUnavailable)
    assert not healthy(f"http://127.0.0.1:{port}") and gone(log)


def test_a_crash_shows_the_last_lines(python: str, port: int, tmp_path: Path):
    with (
        pytest.raises(ModelError, match=r"does not fit into the memory\nout of memory"),
        running(Launch(model="crash", port=port, wait=30), tmp_path / "log", found=Interpreter(python=python)),
    ):
        pass


@pytest.mark.slow
def test_a_server_that_is_never_ready_is_stopped(python: str, port: int, tmp_path: Path):
    with (
        pytest.raises(ProviderUnavailable, match="not ready in time"),
        running(Launch(model="mute", port=port, wait=1.5), tmp_path / "log", found=Interpreter(python=python)),
    ):
        pass
    assert gone(tmp_path / "log")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_sparse_profile_wants_the_plug_in_beside_vllm(python: str, port: int, tmp_path: Path):
    launch = Launch(model="tiny", port=port, profile="xattention")
    with pytest.raises(MissingExtra, match="not our plug-in"):
        launch.command(Interpreter(python=python))
    there = Interpreter(python=python, plugin=True)
    assert launch.command(there)[-3:] == ["--attention-backend", "COA_SPARSE", "--enforce-eager"]
    assert "--attention-backend" not in launch.command(Interpreter(python=python, plugin=True, device="cpu"))
    with (
        pytest.raises(ProviderUnavailable, match="dense attention instead of xattention"),
        running(Launch(model="tiny", port=port, profile="xattention", wait=30), tmp_path / "log", found=there),
    ):
        pass
    assert gone(tmp_path / "log")


def test_a_known_model_gets_what_it_needs_unless_the_user_says_otherwise():
    found = Interpreter(python="python")
    long = shlex.join(Launch(model="Qwen/Qwen3-8B", context=131_072).command(found))
    assert "--reasoning-parser qwen3" in long and '"rope_type": "yarn", "factor": 4.0' in long
    assert '"max_position_embeddings": 131072' in long
    short = shlex.join(Launch(model="Qwen/Qwen3-8B", context=32_768, extra=("--reasoning-parser=none",)).command(found))
    assert "qwen3" not in short and "hf-overrides" not in short
    assert '"rope_type": "linear"' in shlex.join(Launch(model="Giraffe-v2-13b-32k").command(found))


def test_the_attention_of_a_server_is_worded_in_one_way():
    dense = Findings(url="u", models=("m",), window=8, version="0.32.0", prefix_queries=None, prefix_hits=None)
    quest = replace(dense, attention="quest", settings="budget=64 page=16", density=0.25)
    assert (dense.computes, quest.computes) == ("dense", "quest (budget=64 page=16)")
    assert told(dense).endswith("attention          dense, or unknown: our plug-in did not run there")
    assert told(quest).endswith("attention          quest (budget=64 page=16), 25% of the keys looked at")


def test_the_knobs_of_a_profile_reach_the_workers():
    launch = Launch(model="tiny", profile="xattention", settings={"tau": 0.95, "stride": 4})
    config = SparseConfig.from_json(launch.environment(Interpreter(python="python"), Path("r"))[CONFIG_VARIABLE])
    assert (config.method, config.tau, config.stride, config.budget) == ("xattention", 0.95, 4, 4096)
    for profile, wrong in (
        ("dense", {"tau": 0.9}),
        ("xattention", {"tau": 1.5}),
        ("xattention", {"stride": 7}),
        ("quest", {"tau": 0.9}),
        ("streaming", {"streaming_share": 0.25}),
    ):
        with pytest.raises(UsageError):
            Launch(model="tiny", profile=profile, settings=wrong).command(Interpreter(python="python", plugin=True))
    wrong_option = CliRunner().invoke(app, ["vllm", "m", "--profile", "quest", "--budget", "0", "--dry-run"])
    assert isinstance(wrong_option.exception, UsageError)


def test_sparse_attention_is_refused_beside_another_vllm():
    launch = Launch(model="tiny", profile="xattention")
    with pytest.raises(UsageError, match=r"has vLLM 0\.19\.1; sparse attention needs 0\.32"):
        launch.command(Interpreter(python="python", version="0.19.1", plugin=True))
    assert launch.command(Interpreter(python="python", version="0.32.1", plugin=True))
    assert Launch(model="tiny").command(Interpreter(python="python", version="0.19.1"))


def test_blocks_that_a_gpu_cannot_read_are_refused_there_alone(tmp_path: Path):
    table = tmp_path / "table.tsv"
    table.write_text("# block=96 stride=8\n1.0 1.0\n")
    launch = Launch(model="tiny", profile="xattention", thresholds=table)
    with pytest.raises(UsageError, match="no blocks of 96 tokens"):
        launch.command(Interpreter(python="python", plugin=True, device="cuda"))
    assert launch.command(Interpreter(python="python", plugin=True, device="cpu"))


def test_models_that_cannot_run_are_found_before_anything_starts(tmp_path: Path):
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    folder = tiny.make(tmp_path / "model")
    cpu = Interpreter(python="python", device="cpu")
    check_model(str(folder), cpu, SparseConfig(method="lserve", heads_file=str(folder / HEADS_FILE)))
    (tmp_path / "other.tsv").write_text("1 0\n1 0\n")
    with pytest.raises(UsageError, match="2 x 2, the model has 4 layers"):
        check_model(str(folder), cpu, SparseConfig(method="lserve", heads_file=str(tmp_path / "other.tsv")))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"head_dim": 48}))
    with pytest.raises(UsageError, match="48 wide"):
        check_model(str(folder), cpu, None)
    cuda = Interpreter(python="python", device="cuda")
    with pytest.raises(UsageError, match="48 wide, which sparse attention on a GPU does not know"):
        check_model(str(folder), cuda, SparseConfig(method="quest"))
    check_model(str(folder), cuda, None)
    with pytest.raises(UsageError, match=r"no config\.json"):
        check_model(str(tmp_path), cpu, None)


@pytest.mark.parametrize(
    ("line", "kind", "meaning"),
    [
        ("RuntimeError: Failed to infer device type, please set the environment", ModelError, "found no GPU"),
        ("api_server.py: error: unrecognized arguments: --no-such-argument 3", UsageError, "--no-such-argument 3"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", ModelError, "does not fit"),
        (
            "ValueError: Available memory on node 0 (15.55/19.21 GiB) on kv cache allocation is less than requested "
            "memory for kv (83.82 GiB).",
            ModelError,
            "does not fit",
        ),
        ("ValueError: No available memory for the cache blocks.", ModelError, "no room for the KV cache"),
        ("ValueError: Selected backend is not valid. Reason: ['head_size not supported']", UsageError, "size of the"),
        (
            "coa.errors.UsageError: the table of heads 'h.tsv' is 2 x 2, the model has 4 layers of 2 heads",
            UsageError,
            "is 2 x 2, the model has 4 layers",
        ),
        ("Segmentation fault", ProviderUnavailable, "ended with code 1"),
    ],
)
def test_what_a_failed_start_means_is_said(tmp_path: Path, line: str, kind: type[CoaError], meaning: str):
    log = tmp_path / "log"
    log.write_text(f"INFO starting\n{line}\nINFO the end\n")
    found = why(1, log)
    assert type(found) is kind and meaning in found.message and line in found.message
    assert str(log) in found.hint


def test_of_an_unknown_failure_the_first_error_is_shown_not_the_last(tmp_path: Path):
    log = tmp_path / "log"
    end = "RuntimeError: Engine core initialization failed. See root cause above.\n" + "  warning\n" * 20
    log.write_text(f"INFO\nERROR [core.py:1] KeyError: 'rope_kind'\n{end}")
    assert "KeyError: 'rope_kind'" in why(1, log).message


def test_a_part_that_ended_without_a_word_was_killed(tmp_path: Path):
    log = tmp_path / "log"
    end = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
    log.write_text(f"INFO\n{end}\n")
    assert type(why(1, log)) is ModelError and "killed, perhaps for want of memory" in why(1, log).message
    log.write_text(f"ERROR [core.py:1] KeyError: 'rope_kind'\n{end}\n")
    assert type(why(1, log)) is ProviderUnavailable


@pytest.mark.slow
def test_a_server_that_dies_later_ends_the_command(python: str, port: int, tmp_path: Path):
    log = tmp_path / "log"
    with running(Launch(model="tiny", port=port, wait=30), log, found=Interpreter(python=python)) as server:
        server.process.kill()
        with pytest.raises(CoaError, match="ended with code -9"):
            server.wait()
    assert gone(log)


@pytest.mark.slow
def test_a_dense_server_does_not_inherit_a_sparse_configuration(
    python: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(CONFIG_VARIABLE, SparseConfig(method="quest").to_json())
    with running(
        Launch(model="tiny", port=port, wait=30), tmp_path / "log", found=Interpreter(python=python)
    ) as server:
        assert CONFIG_VARIABLE not in psutil.Process(server.process.pid).environ()


def test_a_server_with_a_key_is_asked_with_it():
    assert Launch(model="m", extra=("--api-key", "k1")).key == "k1"
    assert Launch(model="m", extra=("--api-key=k2",)).key == "k2"
    assert Launch(model="m", host="::1").url == "http://[::1]:8000"


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


def test_a_tiny_model_is_made_and_gone_again():
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    done = CliRunner().invoke(app, ["vllm", "--tiny", "--profile", "lserve", "--dry-run"])
    words = shlex.split(done.stdout)
    assert done.exit_code == 0 and words[words.index("--served-model-name") + 1] == "tiny"
    assert not Path(words[words.index("--model") + 1]).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
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
