"""The baseline: vertical columns and slashes (MInference, arXiv 2407.02490; budget as FlexPrefill, 2502.20766).

The last queries are attended in full; the columns and the diagonals that they favour are kept for all others, as many
as hold the share ``gamma`` of their attention each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from coa.serving.sparse import blocks
from coa.serving.sparse.reference import probabilities

SAMPLE = 64


def kept_blocks(query: Tensor, key: Tensor, *, gamma: float = 0.9, block: int = 128) -> Tensor:
    """Blocks that hold a favoured column or slash. Bool, (heads, query blocks, key blocks).

    Args:
        query: (heads, queries, head dim), the last queries of the sequence.
        key: (key-value heads, keys, head dim).
        gamma: Share of the sample's attention that the kept columns hold, and the kept diagonals.
        block: Tokens a side.
    """
    heads, queries, _ = query.shape
    keys = key.shape[1]
    sample = min(SAMPLE, queries)
    weights = probabilities(query[:, -sample:], key, None)
    columns = _most(weights.sum(1), gamma)
    slashes = _most(_diagonals(weights), gamma)
    kept = _as_blocks(columns, slashes, queries, keys, block)
    allowed = blocks.causal(queries, keys, block, query.device)
    return (kept.expand(heads, -1, -1) | blocks.forced(queries, keys, block, query.device)) & allowed


def _most(mass: Tensor, gamma: float) -> Tensor:
    """Bool: the largest entries of each row that together hold ``gamma`` of it."""
    best, order = mass.sort(-1, descending=True)
    keep = best.cumsum(-1) - best < gamma * mass.sum(-1, keepdim=True)
    return torch.zeros_like(keep).scatter(-1, order, keep)


def _diagonals(weights: Tensor) -> Tensor:
    """Attention by distance between query and key, (heads, keys)."""
    heads, rows, keys = weights.shape
    at = keys - rows + torch.arange(rows, device=weights.device)[:, None]
    distance = (at - torch.arange(keys, device=weights.device)).clamp(min=0).expand(heads, -1, -1)
    found = weights.new_zeros((heads, keys))
    return found.scatter_add(1, distance.flatten(1), weights.flatten(1))


def _as_blocks(columns: Tensor, slashes: Tensor, queries: int, keys: int, block: int) -> Tensor:
    rows, wide = blocks.count(queries, block), blocks.count(keys, block)
    padded = torch.nn.functional.pad(columns, (0, wide * block - keys))
    upright = padded.view(columns.shape[0], 1, wide, block).any(-1)
    first = keys - queries + torch.arange(rows, device=columns.device)[:, None] * block
    kept = [
        upright[head] | _crossed(slashes[head].nonzero().flatten(), first, wide, block) for head in range(len(slashes))
    ]
    return torch.stack(kept)


def _crossed(distances: Tensor, first: Tensor, wide: int, block: int) -> Tensor:
    """Blocks that diagonals of these distances cross, bool, (query blocks, key blocks): at most two each and row."""
    number = torch.cat((first - distances, first + block - 1 - distances), 1) // block
    marks = torch.zeros((first.shape[0], wide), dtype=torch.int32, device=first.device)
    return marks.scatter_add(1, number.clamp(0, wide - 1), ((number >= 0) & (number < wide)).int()) > 0
