"""The Triton kernels without a GPU: computed by Triton's interpreter, and compiled for GPUs that are not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.serving.vllm.real import run_kernels

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(600)]

HERE = Path(__file__)


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    return run_kernels(HERE.with_name("interpreted.py"))


@pytest.fixture(scope="module")
def compiled() -> dict[str, Any]:
    return run_kernels(HERE.with_name("compiled.py"))


def test_attention_over_chosen_blocks_is_the_reference_under_their_mask(interpreted: dict[str, Any]):
    for shape, found in interpreted["prefill"].items():
        near = 0.01 if shape == "16-bit floats" else 1e-5
        (everything, whole), (some, density) = found["all"], found["some"]
        assert max(everything, some) <= near, shape
        assert whole == 1 > density, shape


def test_estimates_and_the_blocks_chosen_by_them_are_those_of_plain_pytorch(interpreted: dict[str, Any]):
    for whole, sliced, same_blocks, most in interpreted["estimates"]:
        assert max(whole, sliced) <= 1e-5 < most and same_blocks


def test_pages_are_scored_and_read_as_in_plain_pytorch(interpreted: dict[str, Any]):
    for scores, last_always, attention in interpreted["pages"]:
        assert max(scores, attention) <= 1e-5 and last_always


def test_blocks_that_cannot_be_multiplied_and_queries_between_blocks_are_refused(interpreted: dict[str, Any]):
    blocks, between = interpreted["refused"]
    assert blocks == "on a GPU no blocks of 96 tokens can be read"
    assert "do not begin at a border of blocks of 32" in between


def test_the_compiler_takes_the_kernels_and_they_fit_into_each_kind_of_gpu(compiled: dict[str, Any]):
    for capability, (shared, most) in compiled["prefill"].items():
        assert 0 < shared <= most, capability
    assert all(shared > 0 for shared in compiled["narrow"]) and compiled["sums"] > 0


def test_heads_of_256_are_not_offered_because_they_fit_into_none(compiled: dict[str, Any]):
    shared, most = compiled["too wide"]
    assert shared > most
