"""Shared by all tests: a clean environment, a run directory of one's own, and the shared data where it stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    data = SHARED / "data"
    if not data.is_dir():
        pytest.skip("the shared data folder does not stand beside this checkout")
    return data


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that want a real vLLM share one server, hence one process, however many run side by side."""
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.xdist_group("vllm"))
