"""A real vLLM: the CPU build, in an interpreter of its own, named by ``COA_VLLM_PYTHON``."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import coa
from coa.errors import MissingExtra
from coa.serving.vllm.interpreter import PYTHON_VARIABLE, interpreter
from coa.serving.vllm.launch import Launch, Running, running

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
PYTHON = os.environ.get(PYTHON_VARIABLE)
"""Read when this is imported: the tests' own environment has no such variable."""


@contextmanager
def serve(
    model: Path, *, profile: str = "dense", name: str = "tiny", port: int | None = None, extra: tuple[str, ...] = ()
) -> Iterator[Running]:
    """Serve a model's folder until the block ends: 32-bit floats, two gigabytes, one to three minutes to start."""
    if PYTHON is None:
        pytest.skip(f"{PYTHON_VARIABLE} names no interpreter that has vLLM")
    try:
        found = interpreter({PYTHON_VARIABLE: PYTHON})
    except MissingExtra as error:
        pytest.skip(error.message)
    told = ("--dtype", "float32", *extra)
    launch = Launch(model=str(model), profile=profile, port=port or free_port(), name=name, wait=420, extra=told)
    before = dict(os.environ)
    os.environ.update(OFFLINE)
    try:
        with running(launch, Path(tempfile.mkdtemp()) / "vllm.log", found=found) as server:
            yield server
    finally:
        os.environ.clear()
        os.environ.update(before)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def accounted(answer: coa.Answer) -> None:
    """All parts were read, or it is said which were not: a random model may talk until it is cut."""
    coverage = answer.coverage
    assert coverage.chunks > 3 and (answer.status == "complete") == (not coverage.failed)
    assert 0 < coverage.read <= coverage.chunks and (coverage.read == coverage.chunks) == (not coverage.failed)
