"""Attention for long texts inside transformers: queries scaled by length, and SelfExtend's two kinds of distance.

SelfExtend (arXiv 2401.01325) needs queries and keys before they are rotated: the model is run with all positions 0,
where RoPE changes nothing, and they are rotated here, once for near tokens and once, by groups, for far ones.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

NAME = "coa_long"
_BLOCK = 256
"""Queries at a time: the scores of all queries of a long text would not fit into memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a layer attends: the factor of each text's queries; group, window and frequencies where distances change."""

    factors: Tensor
    group: int = 1
    window: int = 0
    frequencies: Tensor | None = None


@contextmanager
def extended(
    model: Any, factors: Sequence[float], grouping: tuple[int, int] | None, frequencies: Tensor | None
) -> Generator[None]:
    """Let a model of transformers attend so until the block ends.

    Args:
        model: Anything that takes ``set_attn_implementation``.
        factors: One for each text of the batch.
        grouping: SelfExtend's ``(group, window)``; None leaves distances as they are.
        frequencies: RoPE's, for the grouping.
    """
    masks: Any = import_module("transformers.masking_utils")
    import_module("transformers").AttentionInterface.register(NAME, attention)
    masks.AttentionMaskInterface.register(NAME, masks.sdpa_mask)
    manner = Manner(factors=torch.tensor(factors).view(-1, 1, 1, 1))
    if grouping is not None:
        manner = Manner(factors=manner.factors, group=grouping[0], window=grouping[1], frequencies=frequencies)
    before = model.config._attn_implementation
    model.set_attn_implementation(NAME)
    layers = [module for module in model.modules() if "attention" in type(module).__name__.lower()]
    for layer in layers:
        layer.coa_manner = manner
    try:
        yield
    finally:
        model.set_attn_implementation(before)
        for layer in layers:
            del layer.coa_manner


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """As transformers calls it: query (batch, heads, queries, head dim), result (batch, queries, heads, head dim)."""
    manner: Manner = module.coa_manner
    query = query * manner.factors.to(query.dtype)
    if manner.frequencies is None:
        sdpa: Any = import_module("transformers.integrations.sdpa_attention").sdpa_attention_forward
        return sdpa(module, query, key, value, attention_mask, **options)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scaling = options.get("scaling") or query.shape[-1] ** -0.5
    causal = bool(getattr(module, "is_causal", False))
    return _self_extend(query * scaling, key, value, attention_mask, manner, causal=causal), None


def _self_extend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, manner: Manner, *, causal: bool
) -> Tensor:
    assert manner.frequencies is not None
    n, group, window, frequencies = key.shape[2], manner.group, manner.window, manner.frequencies
    place = torch.arange(n)
    shift = window - window // group
    near_keys = rotated(key, place, frequencies)
    keys_before = rotated(key, place // group, frequencies)
    keys_behind = None if causal else rotated(key, place // group + shift, frequencies)
    blocks: list[Tensor] = []
    for start in range(0, n, _BLOCK):
        here = place[start : start + _BLOCK]
        asked = query[:, :, start : start + _BLOCK]
        scores = rotated(asked, here // group + shift, frequencies) @ keys_before.transpose(-1, -2)
        distance = here[:, None] - place[None, :]
        if keys_behind is not None:
            behind = rotated(asked, here // group, frequencies) @ keys_behind.transpose(-1, -2)
            scores = torch.where(distance > 0, scores, behind)
        near = rotated(asked, here, frequencies) @ near_keys.transpose(-1, -2)
        scores = torch.where(distance.abs() < window, near, scores)
        scores = _masked(scores, mask, start, distance if causal else None)
        blocks.append(torch.softmax(scores, dim=-1) @ value)
    return torch.cat(blocks, dim=2).transpose(1, 2).contiguous()


def _masked(scores: Tensor, mask: Tensor | None, start: int, distance: Tensor | None) -> Tensor:
    lowest = torch.finfo(scores.dtype).min
    if mask is None:
        return scores if distance is None else scores.masked_fill(distance < 0, lowest)
    rows = mask[:, :, start : start + scores.shape[2], : scores.shape[3]]
    return scores.masked_fill(~rows, lowest) if rows.dtype == torch.bool else scores + rows


def rotated(states: Tensor, place: Tensor, frequencies: Tensor) -> Tensor:
    """RoPE as Llama's and its kin's: the first half of the dimensions turned against the second.

    Args:
        states: Shape (batch, heads, tokens, head dim); only the first ``2 * len(frequencies)`` dimensions are turned.
        place: A position for each token.
        frequencies: Of each pair of dimensions.
    """
    angles = place[:, None].float() * frequencies[None, :].float()
    cos, sin = torch.cat([angles, angles], dim=-1).cos(), torch.cat([angles, angles], dim=-1).sin()
    size = 2 * len(frequencies)
    turning, rest = states[..., :size], states[..., size:]
    half = size // 2
    crossed = torch.cat([-turning[..., half:], turning[..., :half]], dim=-1)
    return torch.cat([turning * cos.to(states.dtype) + crossed * sin.to(states.dtype), rest], dim=-1)
