"""A model that is named: the hub is asked once, briefly, whether it is there."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from coa.retrieval.hub import answers, only_from_cache
from tests.loopback import listening
from tests.processes import Processes

ASKED = """
from coa.errors import UsageError
from coa.retrieval.embedders import resolve_embedder
for name in ("minilmm", "bge-m3"):
    try:
        resolve_embedder(name).dimensions
    except UsageError as error:
        print(error, error.hint)
"""


class Refusing(BaseHTTPRequestHandler):
    """Has nothing for anybody, and says so."""

    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nobody listens, kept free."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


def test_a_server_is_there_whatever_it_says(nobody: str):
    with listening(Refusing) as address:
        assert answers(address)
    assert not answers(nobody)


def test_one_that_takes_a_connection_and_says_nothing_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}", patience=0.1)


def test_a_folder_needs_no_hub(tmp_path: Path):
    assert not only_from_cache(str(tmp_path))


@pytest.mark.slow
def test_a_name_that_leads_nowhere_is_told_at_once_where_there_is_no_hub(
    processes: Processes, tmp_path: Path, nobody: str
):
    pytest.importorskip("sentence_transformers")
    env = {"HF_ENDPOINT": nobody, "HF_HUB_OFFLINE": "", "HF_HOME": str(tmp_path)}
    ended = processes.run("-c", ASKED, env=env)
    misspelt, elsewhere = ended.out.splitlines()
    assert "Retrying" not in ended.err
    assert "the model hub cannot be reached" in misspelt
    assert "Did you mean 'minilm'?" in misspelt
    assert "bge-m3@FOLDER" in elsewhere
