"""A real vLLM: the CPU build, in an interpreter of its own, named by ``COA_VLLM_PYTHON``."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import coa
from coa.errors import MissingExtra
from coa.serving.vllm.interpreter import PYTHON_VARIABLE, Interpreter, interpreter
from coa.serving.vllm.launch import Launch, Running, running

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
WINDOW = 8192
"""Tokens that the shared server takes."""
PYTHON = os.environ.get(PYTHON_VARIABLE)
"""Read when this is imported: the tests' own environment has no such variable."""


def real_vllm() -> Interpreter:
    """The vLLM that ``COA_VLLM_PYTHON`` names; without one the test is skipped."""
    if PYTHON is None:
        pytest.skip(f"{PYTHON_VARIABLE} names no interpreter that has vLLM")
    try:
        return _asked(PYTHON)
    except MissingExtra as error:
        pytest.skip(error.message)


@cache
def _asked(python: str) -> Interpreter:
    return interpreter({PYTHON_VARIABLE: python})


def run(script: Path, *arguments: str, **env: str) -> Any:
    """What a script writes as JSON when vLLM's interpreter runs it; it is told where to, and the arguments."""
    out = Path(tempfile.mkdtemp()) / "found"
    command = [real_vllm().python, str(script), str(out), *arguments]
    done = subprocess.run(command, env=os.environ | OFFLINE | env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


def run_kernels(script: Path, *arguments: str, **env: str) -> Any:
    """`run`, where that interpreter has Triton; else the test is skipped."""
    found = subprocess.run([real_vllm().python, "-c", "import triton"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("the interpreter that has vLLM has no Triton: pip install --no-deps triton==3.7.1")
    # What is compiled is kept for one run alone.
    with tempfile.TemporaryDirectory() as cache:
        return run(script, *arguments, TRITON_CACHE_DIR=cache, **env)


@contextmanager
def serve(model: Path, *, port: int | None = None, extra: tuple[str, ...] = (), **more: Any) -> Generator[Running]:
    """Serve a model's folder until the block ends: 32-bit floats, two gigabytes, one to three minutes to start."""
    found = real_vllm()
    told = ("--dtype", "float32", *extra)
    launch = Launch(model=str(model), port=port or free_port(), wait=420, extra=told, **more)
    with ExitStack() as server:
        with offline():
            ready = server.enter_context(running(launch, Path(tempfile.mkdtemp()) / "vllm.log", found=found))
        yield ready


@contextmanager
def offline() -> Generator[None]:
    """What is started until the block ends asks nobody on the network."""
    before = dict(os.environ)
    os.environ.update(OFFLINE)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def accounted(answer: coa.Answer) -> None:
    """All parts were read, or it is said which were not: such a model may talk until it is cut."""
    coverage = answer.coverage
    assert coverage.chunks > 3 and (answer.status == "complete") == (not coverage.failed)
    assert 0 < coverage.read <= coverage.chunks and (coverage.read == coverage.chunks) == (not coverage.failed)
