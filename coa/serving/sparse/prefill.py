"""XAttention from queries, keys and values to the output, a few heads at a time, on a GPU or without one."""

from __future__ import annotations

import torch
from torch import Tensor

from coa.serving.sparse import blocks, reference, xattention

HEADS_AT_ONCE = 4
"""Heads whose block scores are held at once: 268 MB each at a million tokens and blocks of 128."""


def xattend(
    query: Tensor, key: Tensor, value: Tensor, *, tau: float = 0.9, block: int = 128, stride: int = 16
) -> tuple[Tensor, float]:
    """Attention over the blocks that XAttention keeps.

    Args:
        query: (heads, queries, head dim), the last queries of the sequence.
        key: (key-value heads, keys, head dim).
        value: Like the keys.
        tau: Share of the estimated attention that is kept.
        block: Tokens a side.
        stride: Tokens folded into one row of the estimate.

    Returns:
        The output, shaped as the queries, and the share of the causal blocks that was computed.
    """
    out = torch.empty_like(query)
    kept = torch.zeros((), device=query.device)
    for heads in _groups(query.shape[0], key.shape[0]):
        shared = slice(
            heads.start * key.shape[0] // query.shape[0], (heads.stop - 1) * key.shape[0] // query.shape[0] + 1
        )
        some = _some_cuda if query.is_cuda else _some
        out[heads], count = some(query[heads], key[shared], value[shared], tau, block, stride)
        kept += count
    allowed = blocks.causal(query.shape[1], key.shape[1], block).sum() * query.shape[0]
    return out, float(kept / allowed)


def _groups(heads: int, kv_heads: int) -> list[slice]:
    """Slices of heads that share whole key-value heads."""
    size = max(heads // kv_heads, HEADS_AT_ONCE // (heads // kv_heads) * (heads // kv_heads))
    return [slice(start, min(start + size, heads)) for start in range(0, heads, size)]


def _some(query: Tensor, key: Tensor, value: Tensor, tau: float, block: int, stride: int) -> tuple[Tensor, Tensor]:
    queries, keys = query.shape[1], key.shape[1]
    kept = xattention.kept_blocks(query, key, tau=tau, block=block, stride=stride)
    return reference.attention(query, key, value, blocks.expand(kept, queries, keys, block)), kept.sum()


def _some_cuda(query: Tensor, key: Tensor, value: Tensor, tau: float, block: int, stride: int) -> tuple[Tensor, Tensor]:
    from coa.serving.sparse import kernels

    scores = xattention.block_scores(query, key, block=block, stride=stride)
    chosen = kernels.choose(scores, tau, query.shape[1], key.shape[1], block)
    return kernels.prefill(query, key, value, chosen, block=block), chosen.counts.sum()
