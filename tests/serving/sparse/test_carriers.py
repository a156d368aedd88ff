"""The same masks in transformers and in FlexAttention as in the dense reference."""

# pyright: basic

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="sparse attention needs torch")
pytest.importorskip("transformers", reason="a model of transformers carries the masks")
pytestmark = pytest.mark.slow

from coa.serving.sparse import blocks, flex, reference, streaming, xattention  # noqa: E402
from coa.serving.sparse.config import SparseConfig  # noqa: E402
from coa.serving.sparse.heads import write_rows  # noqa: E402
from coa.serving.sparse.hf import sparse  # noqa: E402
from coa.serving.sparse.profiler import head_scores, main  # noqa: E402
from coa.serving.vllm import tiny  # noqa: E402
from coa.serving.vllm.profiles import HEADS_FILE  # noqa: E402

SMALL: dict[str, Any] = {"block": 32, "stride": 8, "sink": 16, "recent": 64, "budget": 64, "dense_layers": 0}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    from transformers import AutoModelForCausalLM

    folder = tiny.make(tmp_path_factory.mktemp("tiny"))
    return AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()


@pytest.fixture(scope="module")
def ids():
    return torch.randint(300, 1000, (1, 300), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def dense(model, ids):
    with torch.inference_mode():
        return model(ids).logits


@pytest.mark.parametrize(
    "config",
    [
        SparseConfig(),
        SparseConfig(method="xattention", tau=1.0),
        SparseConfig(method="streaming", sink=64, recent=300),
        SparseConfig(method="quest", budget=4096),
    ],
)
def test_what_skips_nothing_changes_nothing_in_transformers(model, ids, dense, config: SparseConfig):
    with torch.inference_mode(), sparse(model, config):
        same = model(ids).logits
    assert torch.allclose(same, dense, atol=2e-4)
    with torch.inference_mode():
        assert torch.equal(model(ids).logits, dense), "the model attends as before when the block has ended"


def test_streaming_in_transformers_first_differs_where_the_window_leaves_the_sinks(model, ids, dense):
    with torch.inference_mode(), sparse(model, SparseConfig(method="streaming", **SMALL)):
        differs = ((model(ids).logits - dense).abs().amax(-1) > 1e-3)[0]
    assert differs.nonzero()[0].item() == 16 + 64


def test_decoding_with_pages_differs_only_once_the_budget_is_exceeded(model, ids):
    def generated(config: SparseConfig | None, length: int):
        with torch.inference_mode():
            options = {"max_new_tokens": 6, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
            if config is None:
                return torch.stack(model.generate(ids[:, :length], **options).logits)
            with sparse(model, config):
                return torch.stack(model.generate(ids[:, :length], **options).logits)

    quest = SparseConfig(method="quest", **SMALL)
    assert torch.allclose(generated(quest, 40), generated(None, 40), atol=1e-3)
    far = (generated(quest, 280) - generated(None, 280)).abs().amax((1, 2))
    assert far[0] < 1e-3, "the prompt is read dense"
    assert far[1:].max() > 1e-3


def test_a_profiler_finds_the_heads_that_carry_far_context(model, ids, tmp_path: Path):
    """Values of one head are emptied: making it stream can cost nothing, and its score says so."""
    from coa.serving.sparse.hf import attentions

    muted = attentions(model)[1].o_proj
    kept = muted.weight.detach().clone()
    try:
        with torch.no_grad():
            muted.weight[:, : 2 * tiny.HEAD_DIM] = 0  # The first key-value head of layer 1 serves two query heads.
            logits = model(ids).logits

            def loss() -> float:
                return float((model(ids).logits - logits).pow(2).mean())

            scores = head_scores(model, loss, SparseConfig(**SMALL))
    finally:
        with torch.no_grad():
            muted.weight.copy_(kept)
    assert scores[1, 0] == 0 and scores.max() == 1 and (scores > 0).sum() >= 6
    write_rows(tmp_path / "heads.tsv", scores.tolist())
    assert torch.allclose(streaming.read_heads(tmp_path / "heads.tsv", 4, 2), scores, atol=1e-4)


def test_the_profilers_command_writes_a_table_of_the_models_shape(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tiny.make(tmp_path / "model")
    (folder / HEADS_FILE).unlink()
    assert main([str(folder), "--tokens", "500", "--n", "1"]) == 0
    scores = streaming.read_heads(folder / HEADS_FILE, 4, 2)
    assert scores.max() == 1 and "nats each" in capsys.readouterr().out


@pytest.mark.parametrize(("queries", "keys"), [(256, 256), (128, 384)])
@pytest.mark.filterwarnings(
    "ignore:flex_attention called without torch.compile", "ignore:.*torch.jit.script:DeprecationWarning"
)
@pytest.mark.parametrize("compiled", [False, True])
def test_flex_attention_sees_the_kept_blocks_and_no_others(queries: int, keys: int, compiled: bool):
    draw = torch.Generator().manual_seed(3)
    query, key, value = (
        torch.randn((heads, n, 32), generator=draw) for heads, n in ((4, queries), (2, keys), (2, keys))
    )
    kept = xattention.kept_blocks(query, key, tau=0.4, block=64, stride=8)
    assert blocks.density(kept, queries, keys, 64) < 1
    attend = flex.compiled() if compiled else None
    found = flex.attention(query, key, value, flex.block_mask(kept, queries, keys, 64), attend)
    true = reference.attention(query, key, value, blocks.expand(kept, queries, keys, 64))
    assert torch.allclose(found, true, atol=1e-5)
