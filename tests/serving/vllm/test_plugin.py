"""Our plug-in inside a real vLLM: every method against stock attention, by the log-probabilities of one prompt."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coa.errors import MissingExtra
from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm.interpreter import PYTHON_VARIABLE, interpreter
from coa.serving.vllm_plugin import CONFIG_VARIABLE
from tests.serving.vllm.real import OFFLINE, PYTHON

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900)]

SMALL = SparseConfig(tau=0.7, block=64, stride=8, sink=64, recent=128, budget=128, dense_layers=0)
EXACT = ("dense", "tau_1", "no_head_streams", "whole_budget")


def methods(heads: Path) -> dict[str, SparseConfig]:
    table = {"heads_file": str(heads)}
    return {
        "dense": SparseConfig(),
        "tau_1": replace(SMALL, method="xattention", tau=1.0),
        "no_head_streams": replace(SMALL, method="streaming", streaming_share=0.0, **table),
        "whole_budget": replace(SMALL, method="quest", budget=4096),
        "xattention": replace(SMALL, method="xattention"),
        "streaming": replace(SMALL, method="streaming"),
        "quest": replace(SMALL, method="quest"),
        "lserve": replace(SMALL, method="lserve", **table),
        "crooked": replace(SMALL, method="xattention", block=96),
    }


@pytest.fixture(scope="module")
def measured(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Log-probabilities under stock attention and under each method, each from a vLLM in a process of its own."""
    if PYTHON is None:
        pytest.skip(f"{PYTHON_VARIABLE} names no interpreter that has vLLM")
    try:
        found = interpreter({PYTHON_VARIABLE: PYTHON})
    except MissingExtra as error:
        pytest.skip(error.message)
    if not (found.cpu and found.plugin):
        pytest.skip("the vLLM there is not the build for processors, or our plug-in is not installed beside it")
    folder = tmp_path_factory.mktemp("inside")
    script = Path(__file__).with_name("inside.py")

    def run(name: str, env: dict[str, str], *arguments: str) -> dict[str, Any]:
        out = folder / name
        command = [found.python, str(script), str(tiny_model), str(out), *arguments]
        done = subprocess.run(command, env=os.environ | OFFLINE | env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(out.read_text())

    given = [f"{name}={config.to_json()}" for name, config in methods(tiny_model / "full_attention_heads.tsv").items()]
    return run("stock", {}) | run("ours", {CONFIG_VARIABLE: SparseConfig().to_json()}, *given)


def apart(one: list[float], other: list[float]) -> list[float]:
    return [abs(a - b) for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize("name", EXACT)
def test_a_method_that_skips_nothing_is_stock_attention(measured: dict[str, dict[str, Any]], name: str):
    assert max(apart(measured[name]["prompt"], measured["stock"]["prompt"])) <= 1e-5
    assert max(apart(measured[name]["reply"], measured["stock"]["reply"])) <= 1e-5
    assert measured[name]["density"] == 1.0


@pytest.mark.parametrize("name", ["xattention", "streaming", "quest", "lserve"])
def test_a_sparse_method_skips_and_it_shows(measured: dict[str, dict[str, Any]], name: str):
    assert measured[name]["density"] < 1.0
    assert max(apart(measured[name]["reply"], measured["stock"]["reply"])) > 1e-3


def test_streaming_first_differs_where_the_window_leaves_the_sinks(measured: dict[str, dict[str, Any]]):
    far = apart(measured["streaming"]["prompt"], measured["stock"]["prompt"])
    assert next(i for i, value in enumerate(far) if value > 1e-4) == SMALL.sink + SMALL.recent


def test_quest_leaves_the_prompt_alone(measured: dict[str, dict[str, Any]]):
    assert max(apart(measured["quest"]["prompt"], measured["stock"]["prompt"])) <= 1e-5


@pytest.mark.parametrize("name", ["stock", *EXACT, "streaming", "quest"])
def test_a_prompt_from_the_prefix_cache_is_read_as_it_was_without(measured: dict[str, dict[str, Any]], name: str):
    assert measured[name]["cached"] == [0, 640]
    assert max(apart(measured[name]["cold"], measured[name]["warm"])) <= 1e-4


@pytest.mark.parametrize("name", ["xattention", "lserve"])
def test_nor_does_sparse_reading_drift_when_its_blocks_fill_those_of_the_cache(
    measured: dict[str, dict[str, Any]], name: str
):
    assert measured[name]["cached"] == [0, 640]
    assert max(apart(measured[name]["cold"], measured[name]["warm"])) <= 1e-4


def test_it_drifts_a_little_where_they_do_not(measured: dict[str, dict[str, Any]]):
    """Blocks of 96 queries begin elsewhere after 640 cached tokens than after none: other keys are kept."""
    drift = apart(measured["crooked"]["cold"], measured["crooked"]["warm"])[0]
    print(f"drift of the first token: {drift:.4f} nats")
    assert 1e-4 < drift < 1
