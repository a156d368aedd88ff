"""One real server for all tests that want one: starting it takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coa.serving.vllm.launch import Running


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    from coa.serving.vllm.tiny import make

    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def vllm_server(tiny_model: Path) -> Iterator[Running]:
    """A real vLLM with the tiny model under the name ``tiny``. The last test of the run, `test_restart`, stops it."""
    from tests.serving.vllm.real import serve

    with serve(tiny_model) as server:
        yield server
