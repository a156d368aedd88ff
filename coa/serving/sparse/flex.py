"""The masks in PyTorch's FlexAttention, which skips blocks on processors and on CUDA alike, once it is compiled."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from coa.serving.sparse import blocks


def block_mask(kept: Tensor, queries: int, keys: int, block: int) -> BlockMask:
    """Kept blocks, bool (heads, query blocks, key blocks), as a mask of FlexAttention.

    Blocks below the diagonal are taken whole. The rule of the mask says the same as the list of blocks, since
    FlexAttention ignores the list when it is not compiled.
    """
    allowed = blocks.causal(queries, keys, block, kept.device)
    first = keys - queries + torch.arange(kept.shape[1], device=kept.device)[:, None] * block
    number = torch.arange(kept.shape[2], device=kept.device)[None, :]
    whole = (number + 1) * block - 1 <= first
    kept = kept & allowed
    offset = keys - queries

    def rule(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return kept[head, query // block, key // block] & (key <= query + offset)

    partial, full = (kept & ~whole)[None], (kept & whole)[None]
    return BlockMask.from_kv_blocks(
        *_listed(partial), *_listed(full), BLOCK_SIZE=(block, block), mask_mod=rule, seq_lengths=(queries, keys)
    )


def _listed(kept: Tensor) -> tuple[Tensor, Tensor]:
    """How many, and which, of the blocks of each row: the kept ones first."""
    order = torch.argsort(kept.int(), dim=-1, descending=True, stable=True)
    return kept.sum(-1, dtype=torch.int32), order.int()


def attention(query: Tensor, key: Tensor, value: Tensor, mask: BlockMask, compiled: Any = None) -> Tensor:
    """Attention over the mask's blocks, (heads, queries, head dim).

    Args:
        query: (heads, queries, head dim).
        key: (key-value heads, keys, head dim).
        value: Like the keys.
        mask: From `block_mask`.
        compiled: From `compiled`; without it the result is right and nothing is saved.
    """
    shared = query.shape[0] != key.shape[0]
    attend: Any = compiled or flex_attention
    return attend(query[None], key[None], value[None], block_mask=mask, enable_gqa=shared)[0]


def compiled() -> Any:
    """FlexAttention compiled: about ten seconds at the first call of each shape, on processors with a C++ compiler."""
    # With shapes left open, PyTorch 2.13 writes C++ that does not compile.
    return torch.compile(flex_attention, dynamic=False)
