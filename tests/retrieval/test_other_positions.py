"""Models with other positions: what cannot be stretched is refused, windows are not; small models made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coa.errors import UsageError
from coa.retrieval.embedders import SentenceTransformerEmbedder
from coa.retrieval.longembed.methods import LongEmbedder

pytestmark = pytest.mark.slow
SHORT = "the keeper lit the green lamp"
LONG = " ".join(["the red boat was in the storm at sea and the light of the lamp was green"] * 12)
SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}


def modernbert(size: int) -> Any:
    """Rotary, with one base for layers that see everything and another for those that see their neighbours."""
    from transformers import ModernBertConfig, ModernBertModel

    special: dict[str, Any] = {
        "pad_token_id": 0,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    return ModernBertModel(ModernBertConfig(vocab_size=size, max_position_embeddings=64, **SIZES, **special))


def deberta(size: int) -> Any:
    """Relative positions alone."""
    from transformers import DebertaV2Config, DebertaV2Model

    relative: dict[str, Any] = {
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
    }
    return DebertaV2Model(DebertaV2Config(vocab_size=size, max_position_embeddings=64, **SIZES, **relative))


def mpnet(size: int) -> Any:
    """Learned positions, and a bias by relative ones beside them."""
    from transformers import MPNetConfig, MPNetModel

    return MPNetModel(MPNetConfig(vocab_size=size, max_position_embeddings=64, **SIZES))


@pytest.fixture(scope="module", params=[modernbert, deberta])
def model(request: pytest.FixtureRequest, saved: Callable[[str, Any], Path]) -> SentenceTransformerEmbedder:
    pytest.importorskip("sentence_transformers")
    return SentenceTransformerEmbedder(saved(request.param.__name__, request.param))


@pytest.mark.parametrize("method", ["gp", "rp", "pi", "ntk", "selfextend"])
def test_positions_that_cannot_be_stretched_are_refused(model: SentenceTransformerEmbedder, method: str) -> None:
    long = LongEmbedder(model, method, native=64)
    assert long.model.kind == "other"
    with pytest.raises(UsageError, match="not for a model with other positions") as caught:
        long.embed([LONG])
    assert "+pcw" in caught.value.hint
    assert long.embed([SHORT]) == pytest.approx(model.embed([SHORT]), abs=1e-5)


def test_parallel_windows_go_with_them(model: SentenceTransformerEmbedder) -> None:
    long = LongEmbedder(model, "pcw", native=64)
    one, other = long.embed([f"{LONG} rock", f"{LONG} harbour"])
    assert np.abs(one - other).max() > 1e-5
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("method", ["gp", "rp", "pi"])
def test_learned_positions_with_a_bias_beside_them_are_stretched(
    saved: Callable[[str, Any], Path], method: str
) -> None:
    plain = SentenceTransformerEmbedder(saved("mpnet", mpnet))
    long = LongEmbedder(plain, method, native=60)
    assert (long.model.kind, long.model.offset) == ("absolute", 2)
    one, other = long.embed([f"{LONG} rock", f"{LONG} harbour"])
    assert np.abs(one - other).max() > 1e-5
    assert long.embed([SHORT]) == pytest.approx(plain.embed([SHORT]), abs=1e-5)
