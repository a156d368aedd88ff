"""The backend for CUDA without a GPU: chosen, made, fed and asked by vLLM's own code for CUDA, on a processor.

What is compiled for CUDA is stood in for (`seam.py`), and our kernels run in Triton's interpreter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coa.serving.sparse.config import SparseConfig
from coa.serving.vllm_plugin import CONFIG_VARIABLE
from tests.serving.vllm.real import real_vllm, run_kernels

pytestmark = [pytest.mark.slow, pytest.mark.vllm, pytest.mark.timeout(900)]

SCRIPT = Path(__file__)
NEAR = 2e-5
"""32-bit floats, summed in another order."""


def ready() -> None:
    found = real_vllm()
    if not (found.cpu and found.plugin):
        pytest.skip("the vLLM there is not the build for processors, or our plug-in is not installed beside it")


@pytest.fixture(scope="module")
def pretended(tiny_model: Path) -> dict[str, Any]:
    """Layers made one by one, by a vLLM that is told of a GPU."""
    ready()
    return run_kernels(SCRIPT.with_name("as_on_cuda.py"), str(tiny_model))


INSIDE = SparseConfig(block=64, stride=8, tau=0.5, budget=128, dense_layers=0)


@pytest.fixture(scope="module")
def inside(tiny_model: Path) -> dict[str, Any]:
    """Log-probabilities of replies from one engine, which runs the backend for CUDA on a processor."""
    ready()
    methods = {
        "xattention": replace(INSIDE, method="xattention"),
        "quest": replace(INSIDE, method="quest"),
    }
    given = [f"{name}={config.to_json()}" for name, config in methods.items()]
    settings = {CONFIG_VARIABLE: SparseConfig().to_json()}
    return run_kernels(SCRIPT.with_name("inside_cuda.py"), str(tiny_model), *given, **settings)


def apart(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("method", ["xattention", "quest"])
def test_inside_an_engine_the_kernels_give_what_the_dense_reference_gives(inside: dict[str, Any], method: str):
    kernels, reference = inside[method]["kernels"], inside[method]["reference"]
    for ours, true in zip(kernels["replies"], reference["replies"], strict=True):
        assert len(true) == 5 and apart(ours, true) <= NEAR


def test_inside_an_engine_what_is_read_in_full_is_flash_attention(inside: dict[str, Any]):
    """Quest reads prompts in full; 89 tokens and less are within its budget."""
    (long, short), (stock_long, stock_short) = inside["quest"]["kernels"]["replies"], inside["stock"]["replies"]
    assert apart(long[:1], stock_long[:1]) <= NEAR >= apart(short, stock_short)


def test_inside_an_engine_a_method_skips_where_it_should(inside: dict[str, Any]):
    blocks, pages, stock = inside["xattention"]["kernels"], inside["quest"]["kernels"], inside["stock"]
    assert abs(blocks["replies"][0][0] - stock["replies"][0][0]) > 1e-2
    assert apart(pages["replies"][0], stock["replies"][0]) > 1e-2
    assert max(blocks["density"]) < 0.95 and max(pages["density"]) < 1


def test_the_launchers_command_leads_to_our_backend_on_cuda(pretended: dict[str, Any]):
    found = pretended["chosen"]
    assert found["backend"] == "coa.serving.vllm_plugin.cuda.SparseFlashBackend"
    assert (found["named"], found["impl"], found["flash"]) == ("COA_SPARSE", "SparseFlashImpl", 3)
    assert found["writes_in_forward"] is False, "keys are written by vLLM before we are asked"


def test_what_is_chosen_anew_for_each_token_is_never_captured_as_a_graph(pretended: dict[str, Any]):
    graphs = pretended["chosen"]["graphs"]
    assert graphs.pop("xattention") == ["FULL_AND_PIECEWISE", "UNIFORM_BATCH", "FULL_AND_PIECEWISE"]
    assert set(graphs) == {"quest", "streaming", "lserve"}
    assert all(found == ["FULL_AND_PIECEWISE", "NEVER", "PIECEWISE"] for found in graphs.values())


@pytest.mark.parametrize("method", ["tau 1", "xattention", "streaming", "quest", "lserve"])
def test_every_kind_of_batch_gets_what_the_dense_reference_gives(pretended: dict[str, Any], method: str):
    found = pretended["asked"][method]
    assert len(found) == 5
    for kind, batch in found.items():
        assert batch["apart"] <= NEAR and batch["padding_untouched"], kind
        # Without a budget, batches that hold no long prompt are vLLM's own.
        assert batch["own"] is (method in ("tau 1", "xattention") and kind == "single tokens"), kind
        assert batch["calls"] >= 1, kind


def test_batches_skip_what_their_method_skips(pretended: dict[str, Any]):
    density = {method: {kind: each["density"] for kind, each in found.items()} for method, found in pretended["asked"].items()}  # noqa: E501  # fmt: skip
    assert set(density["tau 1"].values()) == {1.0}
    assert density["xattention"]["single tokens"] == 1 == density["quest"]["one prompt"]
    for method, kind in (
        ("xattention", "one prompt"),
        ("xattention", "a crooked piece"),
        ("streaming", "a piece of one"),
        ("streaming", "single tokens"),
        ("quest", "single tokens"),
        ("lserve", "one prompt"),
        ("lserve", "single tokens"),
    ):
        assert density[method][kind] < 0.95, (method, kind)


def test_so_do_other_heads_layouts_and_numbers_and_rows_of_padding(pretended: dict[str, Any]):
    for shape, found in pretended["shapes"].items():
        assert found["apart"] <= (0.01 if shape == "16-bit floats" else NEAR), shape
        assert found["padding_untouched"] and found["density"] < 1 and not found["own"], shape


def test_windows_encoders_drafts_and_models_that_look_ahead_are_left_to_vllm(pretended: dict[str, Any]):
    for kind, (difference, own, counted) in pretended["others"].items():
        assert difference <= NEAR and own and not counted, kind


def test_a_layer_that_shares_the_pages_of_another_reads_them_and_writes_none(pretended: dict[str, Any]):
    difference, calls = pretended["shared"]
    assert difference <= NEAR and not calls


def test_workers_that_share_the_heads_take_their_part_of_a_table(pretended: dict[str, Any]):
    (first, dense), (second, streaming) = pretended["ranks"]
    assert first == [[False]] * 4 and second == [[True]] * 4
    assert max(dense["apart"], streaming["apart"]) <= NEAR
    assert dense["density"] == 1 > streaming["density"]


def test_calls_that_are_not_for_us_are_answered_as_vllm_does(pretended: dict[str, Any]):
    zeros, said = pretended["nothing"]
    assert zeros == 0
    assert said == "fused output quantization is not yet supported for FlashAttentionImpl"


def test_models_and_caches_that_it_does_not_know_are_refused(pretended: dict[str, Any]):
    said = pretended["refusals"]
    for model in ("sinks", "cap", "alibi"):
        assert said[model].startswith("UsageError: the model has ") and "does not know" in said[model]
    assert said["block"] == "UsageError: on a GPU no blocks of 96 tokens can be read"
    for setting, reason in (
        ("narrow", "head_size"),
        ("wide", "head_size"),
        ("fp8", "kv_cache_dtype"),
        ("dcp", "DCP"),
    ):
        assert said[setting].startswith("ValueError: Selected backend AttentionBackendEnum.COA_SPARSE is not valid")
        assert f"['{reason} not supported']" in said[setting]
