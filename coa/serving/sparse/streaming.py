"""Streaming heads (StreamingLLM, arXiv 2309.17453; DuoAttention, 2410.10819): the first and the last tokens alone.

Some heads look only there and lose nothing; a table says which. Published tables have one line a layer with a score
from 0 (streams) to 1 (needs everything) for each key-value head.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from coa.serving.sparse import blocks
from coa.serving.sparse.heads import read_rows


def token_mask(queries: int, keys: int, *, sink: int, recent: int, device: torch.device | None = None) -> Tensor:
    """What a streaming head sees, bool, (queries, keys): keys before ``sink``, and the last ``recent`` ones."""
    at = keys - queries + torch.arange(queries, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    return (key <= at) & ((key < sink) | (at - key < recent))


def kept_blocks(
    queries: int, keys: int, *, sink: int, recent: int, block: int, device: torch.device | None = None
) -> Tensor:
    """Blocks that hold any key of `token_mask`, bool, (query blocks, key blocks): a little more than the mask."""
    first = keys - queries + torch.arange(blocks.count(queries, block), device=device)[:, None] * block
    number = torch.arange(blocks.count(keys, block), device=device)[None, :]
    near = (number + 1) * block > first - recent + 1
    return blocks.causal(queries, keys, block, device) & ((number * block < sink) | near)


def read_heads(path: Path, layers: int, kv_heads: int) -> Tensor:
    """The scores of a table, (layers, key-value heads), clamped to 0..1.

    Raises:
        UsageError: the file is missing, holds no numbers, or belongs to a model of another shape.
    """
    return torch.tensor(read_rows(path, layers, kv_heads)).clamp(0, 1)


def streaming_heads(scores: Tensor, share: float) -> Tensor:
    """Which heads stream when ``share`` of all do: those with the lowest scores. Bool, (layers, key-value heads)."""
    flat = scores.flatten()
    streams = torch.zeros_like(flat, dtype=torch.bool)
    streams[flat.argsort()[: round(share * flat.numel())]] = True
    return streams.view_as(scores)
