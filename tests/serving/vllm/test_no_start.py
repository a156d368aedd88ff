"""Real starts that fail: no device, no room, killed. Each ends with what is wrong and its exit code; nothing stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from coa.errors import ModelError
from coa.serving.vllm.interpreter import PYTHON_VARIABLE, Interpreter, interpreter
from coa.serving.vllm.launch import Launch, running
from tests.serving.vllm.real import OFFLINE, free_port, offline, real_vllm

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]

Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def built_for_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The real vLLM under the name of the build for CUDA, by which it decides what to look for."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a GPU, which would be found")
    python = real_vllm().python
    folder = tmp_path / "site" / "vllm-0.32.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0\n")
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(folder.parent), known))))
    return python


def coa_vllm(log: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "coa", "vllm", *arguments[:1], "--port", str(free_port()), "--log", str(log)]
    told = os.environ | OFFLINE | {PYTHON_VARIABLE: real_vllm().python} | env
    return subprocess.Popen([*command, *arguments[1:]], stderr=subprocess.PIPE, text=True, env=told)


def ended(process: subprocess.Popen[str], seconds: float = 300) -> Ended:
    _, said = process.communicate(timeout=seconds)
    return Ended(process.args, process.returncode, stderr=said)


def of_model(model: Path) -> Iterator[psutil.Process]:
    """Processes that were told of this folder, which is the test's own, and all that they started."""
    for process in psutil.process_iter(["cmdline"]):
        if str(model) in (process.info["cmdline"] or ()):
            yield process
            yield from process.children(recursive=True)


def test_without_a_gpu_nothing_is_started(built_for_cuda: str, tiny_model: Path, tmp_path: Path):
    found = interpreter({PYTHON_VARIABLE: built_for_cuda})
    assert (found.version, found.device, found.cpu) == ("0.32.0", "", False)
    done = ended(coa_vllm(tmp_path / "log", str(tiny_model)))
    assert done.returncode == ModelError.exit_code == 4 and "finds no GPU" in done.stderr
    assert "nvidia-smi" in done.stderr and not (tmp_path / "log").exists()


def test_a_vllm_that_could_not_be_asked_says_so_itself(built_for_cuda: str, tiny_model: Path, tmp_path: Path):
    launch = Launch(model=str(tiny_model), port=free_port(), wait=300)
    with (
        offline(),
        pytest.raises(ModelError, match="it found no GPU"),
        running(launch, tmp_path / "log", found=Interpreter(python=built_for_cuda)),
    ):
        pass
    assert not list(of_model(tiny_model))


@pytest.fixture(scope="module")
def failed(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Three starts side by side: a cache larger than the memory, one too small for the context, a part killed."""
    logs = {name: tmp_path_factory.mktemp("start") / name for name in ("large", "small", "killed")}
    model = str(tiny_model)
    starts = {
        "large": coa_vllm(logs["large"], model, VLLM_CPU_KVCACHE_SPACE="100000"),
        "small": coa_vllm(logs["small"], model, "--", "--kv-cache-memory-bytes", "1000000"),
        "killed": coa_vllm(logs["killed"], model),
    }
    try:
        kill_an_engine(starts["killed"])
    finally:
        found = {name: ended(process) for name, process in starts.items()}
    return found


def kill_an_engine(starting: subprocess.Popen[str], seconds: float = 300) -> None:
    """As Linux does when memory ends: the process in which the model is being loaded."""
    end = time.monotonic() + seconds
    while not engines(starting.pid) and time.monotonic() < end:
        time.sleep(0.2)
    engines(starting.pid)[-1].kill()


def engines(pid: int) -> list[psutil.Process]:
    children = psutil.Process(pid).children(recursive=True)
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE and "Engine" in child.name()]


@pytest.mark.parametrize(
    ("start", "meaning"),
    [
        ("large", "it does not fit into the memory"),
        ("small", "no room for the KV cache of that context"),
        ("killed", "killed, perhaps for want of memory"),
    ],
)
def test_memory_that_is_not_enough_is_named(failed: dict[str, Ended], start: str, meaning: str):
    done = failed[start]
    assert done.returncode == ModelError.exit_code == 4 and meaning in done.stderr
    assert "Traceback" not in done.stderr and "coa vllm plan MODEL" in done.stderr


def test_nothing_of_them_is_left(failed: dict[str, Ended], tiny_model: Path):
    assert len(failed) == 3 and not list(of_model(tiny_model))
