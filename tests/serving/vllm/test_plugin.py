"""Our plug-in inside a real vLLM: every method against stock attention, by the log-probabilities of one prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.heads import write_rows
from coa.serving.vllm.interpreter import Interpreter
from coa.serving.vllm.launch import Launch
from coa.serving.vllm.profiles import HEADS_FILE
from coa.serving.vllm.tiny import HEADS, LAYERS
from coa.serving.vllm_plugin import CONFIG_VARIABLE
from tests.serving.vllm.real import real_vllm, run

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900)]

SMALL = SparseConfig(tau=0.7, block=64, stride=8, sink=64, recent=128, budget=128, dense_layers=0)
EXACT = ("dense", "tau_1", "every_tau_1", "no_head_streams", "whole_budget")


KNOBS: dict[str, dict[str, float]] = {
    "xattention": {"tau": 0.5, "stride": 8},
    "streaming": {"recent": 100, "streaming_share": 0.75},
    "quest": {"budget": 64},
    "lserve": {"tau": 0.5, "stride": 8, "budget": 64, "recent": 100, "streaming_share": 0.75},
}
"""Every option of `coa vllm` that sets something of a profile, away from its default."""


def told(model: Path, profile: str, settings: dict[str, float]) -> SparseConfig:
    """What the launcher leaves in the environment of a server."""
    launch = Launch(model=str(model), profile=profile, settings=settings)
    return SparseConfig.from_json(launch.environment(Interpreter(python="python"), Path("report"))[CONFIG_VARIABLE])


def methods(model: Path) -> dict[str, SparseConfig]:
    heads = model / HEADS_FILE
    table = {"heads_file": str(heads)}
    for name, taus in (("every_tau_1", [1.0] * HEADS), ("one_tau_1", [1.0, *[0.3] * (HEADS - 1)])):
        write_rows(model / f"{name}.tsv", [taus] * LAYERS)
    return {
        "dense": SparseConfig(),
        "tau_1": replace(SMALL, method="xattention", tau=1.0),
        "every_tau_1": replace(SMALL, method="xattention", thresholds_file=str(model / "every_tau_1.tsv")),
        "one_tau_1": replace(SMALL, method="xattention", tau=0.3, thresholds_file=str(model / "one_tau_1.tsv")),
        "no_tau_1": replace(SMALL, method="xattention", tau=0.3),
        "no_head_streams": replace(SMALL, method="streaming", streaming_share=0.0, **table),
        "whole_budget": replace(SMALL, method="quest", budget=4096),
        "xattention": replace(SMALL, method="xattention"),
        "streaming": replace(SMALL, method="streaming"),
        "quest": replace(SMALL, method="quest"),
        "lserve": replace(SMALL, method="lserve", **table),
        "crooked": replace(SMALL, method="xattention", block=96),
        **{f"{profile} as it is": told(model, profile, {}) for profile in KNOBS},
        **{f"{profile} turned": told(model, profile, settings) for profile, settings in KNOBS.items()},
    }


@pytest.fixture(scope="module")
def measured(tiny_model: Path) -> dict[str, dict[str, Any]]:
    """Log-probabilities under stock attention and under each method, all from one engine."""
    found = real_vllm()
    if not (found.cpu and found.plugin):
        pytest.skip("the vLLM there is not the build for processors, or our plug-in is not installed beside it")
    given = [f"{name}={config.to_json()}" for name, config in methods(tiny_model).items()]
    script = Path(__file__).with_name("inside.py")
    return run(script, str(tiny_model), *given, **{CONFIG_VARIABLE: SparseConfig().to_json()})


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


@pytest.mark.parametrize("profile", KNOBS)
def test_every_knob_of_a_profile_reaches_what_runs_and_changes_it(measured: dict[str, dict[str, Any]], profile: str):
    plain, turned = measured[f"{profile} as it is"], measured[f"{profile} turned"]
    ((method, settings),) = turned["ran"]
    assert method == profile == plain["ran"][0][0]
    assert {f"{name}={value}" for name, value in KNOBS[profile].items()} == set(settings.split()) - set(
        plain["ran"][0][1].split()
    )
    assert turned["density"] < plain["density"]
    assert max(apart(turned["reply"], plain["reply"])) > 1e-3


def test_a_threshold_of_its_own_opens_one_head_in_each_layer(measured: dict[str, dict[str, Any]]):
    some, none = measured["one_tau_1"], measured["no_tau_1"]
    opened = (some["density"] - none["density"]) / (1 - none["density"])
    assert 0.5 / HEADS < opened < 2 / HEADS and some["ran"] == [["xattention", "tau=one_tau_1.tsv stride=8 block=64"]]
    assert max(apart(some["prompt"], none["prompt"])) > 1e-3


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


def test_a_layer_with_a_window_of_its_own_is_left_to_vllm(measured: dict[str, Any]):
    assert measured["window"] <= 1e-5


def test_it_drifts_a_little_where_they_do_not(measured: dict[str, dict[str, Any]]):
    """Blocks of 96 queries begin elsewhere after 640 cached tokens than after none: other keys are kept."""
    drift = apart(measured["crooked"]["cold"], measured["crooked"]["warm"])[0]
    print(f"drift of the first token: {drift:.4f} nats")
    assert 1e-4 < drift < 1
