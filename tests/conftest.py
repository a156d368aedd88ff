"""Shared by all tests: a clean environment, processes, a run directory of one's own, shared data where it stands."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.processes import Ended, Processes

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
KEYS = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path) -> Iterator[None]:
    """No key, no setting and no config file of the machine reaches a test; runs land in the test's own folder."""
    before = dict(os.environ)
    for name in list(os.environ):
        if name.startswith("COA_") or name in KEYS:
            del os.environ[name]
    os.environ["COA_CONFIG"] = str(tmp_path / "no-config.toml")
    os.environ["COA_RUN_DIR"] = str(tmp_path / "runs")
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    with Processes() as started:
        yield started


@pytest.fixture(autouse=True)
def kills(processes: Processes, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """The report says how many processes a test has killed."""
    before = processes.codes[-signal.SIGKILL]
    yield
    if killed := processes.codes[-signal.SIGKILL] - before:
        record_property("kills", killed)


@pytest.fixture
def repeat() -> int:
    """How often the test has run before, under --repeats."""
    return 0


@pytest.fixture
def coa(processes: Processes) -> Callable[..., Ended]:
    """Run the real command in a process of its own."""

    def run(*arguments: str, stdin: bytes = b"", **env: str) -> Ended:
        ended = processes.run("-m", "coa", *arguments, stdin=stdin, env=env)
        assert "Traceback" not in ended.err
        return ended

    return run


@pytest.fixture
def places(repeat: int, request: pytest.FixtureRequest) -> Callable[[int], Sequence[int]]:
    """Where a run of so many calls is killed: at each of them, or at as many as --kills says."""
    most: int | None = request.config.getoption("kills")

    def drawn(calls: int) -> Sequence[int]:
        every = range(1, calls + 1)
        drawing = random.Random(f"{request.node.originalname} {calls} {repeat}")
        return every if most is None or most >= calls else sorted(drawing.sample(every, most))

    return drawn


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the shared data folder does not stand beside this checkout")
    return data


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repeats", type=int, default=1, help="run every test so often")
    parser.addoption("--kills", type=int, help="kill at so many places, drawn anew at each repeat, instead of at all")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    repeats = metafunc.config.getoption("repeats") or 1
    if repeats > 1:
        metafunc.fixturenames.append("repeat")
        metafunc.parametrize("repeat", range(repeats))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that want a real vLLM share one server, hence one process, however many run side by side."""
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.xdist_group("vllm"))
