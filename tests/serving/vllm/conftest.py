"""One real server for all tests that want one, and one engine for all that look inside: starting takes a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from coa.serving.vllm.launch import Running
from coa.testing.reader import folder
from tests.serving.vllm.real import WINDOW, serve


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tokenizers")
    pytest.importorskip("safetensors")
    from coa.serving.vllm.tiny import make

    return make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def started() -> Iterator[Callable[[], Running]]:
    """Gives the server that serves the reader: one for the whole run, unless a test stops it."""
    with ExitStack() as servers:
        running: list[Running] = []

        def server() -> Running:
            if not running or running[-1].process.poll() is not None:
                length = ("--max-model-len", str(WINDOW))
                running.append(servers.enter_context(serve(folder(), name="reader", extra=length)))
            return running[-1]

        yield server


@pytest.fixture
def vllm_server(started: Callable[[], Running]) -> Running:
    """A real vLLM, dense, with the reader under the name ``reader``."""
    return started()
