"""Which attention heads read: each KV head made to see only the first and the latest tokens, as streaming heads do.

Streaming heads after DuoAttention (arXiv 2410.10819, section 2); here a mask over full attention, for measurement only.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from coa.testing.reader.reading import Reading

SINK, RECENT = 4, 128
Head = tuple[int, int]
"""Layer and KV head."""


def all_heads(reading: Reading) -> list[Head]:
    """Every KV head of the reader."""
    config = reading.model.config
    return [(i, j) for i in range(config.num_hidden_layers) for j in range(config.num_key_value_heads)]


@contextmanager
def streaming(reading: Reading, heads: Sequence[Head]) -> Generator[None]:
    """Within, these heads see only sink and recent tokens. For single sequences without padding."""
    model, chosen = reading.model, frozenset(heads)

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, **_: Any
    ) -> tuple[Tensor, None]:
        kv_heads, length = key.shape[1], key.shape[2]
        near = torch.zeros(kv_heads, dtype=torch.bool, device=key.device)
        for head in range(kv_heads):
            near[head] = (module.layer_idx, head) in chosen
        allowed = _allowed(near, length).repeat_interleave(query.shape[1] // kv_heads, dim=0)
        out = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, scale=scaling, enable_gqa=True)
        return out.transpose(1, 2).contiguous(), None

    before = model.config._attn_implementation
    AttentionInterface.register("coa_streaming", attend)  # pyright: ignore[reportUnknownMemberType]
    model.set_attn_implementation("coa_streaming")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _allowed(near: Tensor, length: int) -> Tensor:
    """(kv heads, length, length): causal, and for the heads that are near, sink and recent tokens only."""
    at = torch.arange(length, device=near.device)
    causal = at[None, :] <= at[:, None]
    window = causal & ((at[None, :] < SINK) | (at[:, None] - at[None, :] < RECENT))
    return torch.where(near[:, None, None], window, causal)


@torch.inference_mode()
def foretold(reading: Reading, pairs: Sequence[tuple[str, str]]) -> tuple[int, float]:
    """How many answers are foretold to the last token, and the mean log-probability of an answer (teacher forced)."""
    right, total = 0, 0.0
    for prompt, answer in pairs:
        asked = reading.tokenizer(prompt).input_ids
        said = reading.tokenizer(" " + answer, add_special_tokens=False).input_ids
        ids = torch.tensor([asked + said], device=reading.model.device)
        logits = reading.model(ids, use_cache=False, logits_to_keep=len(said) + 1).logits[0, :-1].float()
        aim = ids[0, -len(said) :]
        right += bool((logits.argmax(-1) == aim).all())
        total += float(logits.log_softmax(-1).gather(-1, aim[:, None]).sum())
    return right, total / max(1, len(pairs))


def ranked(reading: Reading, pairs: Sequence[tuple[str, str]]) -> list[Head]:
    """KV heads by how much the answers lose when that head alone is made to stream, the dearest first."""
    costs: dict[Head, float] = {}
    for head in all_heads(reading):
        with streaming(reading, [head]):
            costs[head] = -foretold(reading, pairs)[1]
    return sorted(costs, key=lambda head: -costs[head])
