"""XAttention (arXiv 2503.16428, sections 2.1-2.2): blocks are judged by sums along antidiagonals.

Every ``stride`` tokens are folded into one row: keys in order, queries in reverse, so that one product of folded rows
is the sum of an antidiagonal of the tile. A softmax over these estimates, summed over each block, orders the blocks;
the best are kept until they hold ``tau`` of the row's total. The map of estimates is made in slices: a million tokens
need no more memory than a slice of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from coa.serving.sparse import blocks

SLICE_ENTRIES = 2**29
"""Estimates held at once, at most: 1 GiB in 16-bit floats."""


def block_scores(
    query: Tensor,
    key: Tensor,
    *,
    block: int = 128,
    stride: int = 16,
    scale: float | None = None,
    entries: int = SLICE_ENTRIES,
) -> Tensor:
    """Estimated attention of each block of keys for each block of queries.

    Args:
        query: (heads, queries, head dim), the last queries of the sequence.
        key: (key-value heads, keys, head dim).
        block: Tokens a side.
        stride: Tokens folded into one row; divides ``block``.
        scale: Factor on the products; one over the root of the head dim if None.
        entries: Estimates held at once, at most.

    Returns:
        (heads, query blocks, key blocks) in 32-bit floats; a full row sums to ``block / stride``.
    """
    heads, queries, dim = query.shape
    grid = _Grid(queries=queries, keys=key.shape[1], block=block, stride=stride, entries=entries)
    factor = (dim**-0.5 if scale is None else scale) / stride
    shape = (heads, blocks.count(queries, block), blocks.count(grid.keys, block))
    found = query.new_zeros(shape, dtype=torch.float32)
    rows = _fold(query, block, stride).flip(2).flatten(2)
    columns = _fold(key, block, stride).flatten(2)
    group = heads // key.shape[0]
    for shared in range(key.shape[0]):
        some = slice(shared * group, (shared + 1) * group)
        _fill(found[some], rows[some], columns[shared], factor, grid)
    return found


class _Grid:
    """Where folded rows and columns stand."""

    def __init__(self, *, queries: int, keys: int, block: int, stride: int, entries: int) -> None:
        self.queries, self.keys, self.block, self.stride, self.entries = queries, keys, block, stride, entries
        self.per_block = block // stride
        self.offset = keys - queries

    def reach(self, row: int) -> int:
        """One past the last folded column that folded row ``row`` sees."""
        return (self.offset + (row + 1) * self.stride - 1) // self.stride + 1


def _fold(tokens: Tensor, block: int, stride: int) -> Tensor:
    """(heads, tokens, head dim) -> (heads, folded rows, stride, head dim); the last block is filled up with zeros."""
    missing = -tokens.shape[1] % block
    padded = F.pad(tokens, (0, 0, 0, missing)) if missing else tokens
    return padded.reshape(tokens.shape[0], -1, stride, tokens.shape[2])


def _fill(found: Tensor, rows: Tensor, columns: Tensor, factor: float, grid: _Grid) -> None:
    """Fill (heads, query blocks, key blocks) of heads that share their keys, slice by slice of query blocks."""
    per = grid.per_block
    at_once = max(per, grid.entries // (rows.shape[0] * columns.shape[0]) // per * per)
    for start in range(0, rows.shape[1], at_once):
        end = min(start + at_once, rows.shape[1])
        # Whole blocks of columns, as far as the last row of the slice sees.
        upto = min(columns.shape[0], -(-grid.reach(end - 1) // per) * per)
        products = rows[:, start:end] @ columns[:upto].T
        sums = _sum_on_gpu if products.is_cuda else _sum
        sums(found[:, start // per : end // per, : upto // per], products, start, factor, grid)


def _sum(found: Tensor, products: Tensor, start: int, factor: float, grid: _Grid) -> None:
    """Softmax of each folded row over what it sees, summed over the tiles of blocks."""
    heads, many, wide = products.shape
    row = torch.arange(start, start + many, device=products.device)[:, None]
    column = torch.arange(wide, device=products.device)[None, :]
    sees = (column * grid.stride <= grid.offset + (row + 1) * grid.stride - 1) & (column * grid.stride < grid.keys)
    weights = (products.float() * factor).masked_fill(~sees, float("-inf")).softmax(-1)
    weights = weights.masked_fill(row * grid.stride >= grid.queries, 0.0)
    per = grid.per_block
    found.copy_(weights.view(heads, many // per, per, wide // per, per).sum((2, 4)))


def _sum_on_gpu(found: Tensor, products: Tensor, start: int, factor: float, grid: _Grid) -> None:
    from coa.serving.sparse.kernels import softmax_block_sums

    softmax_block_sums(
        found,
        products,
        start=start,
        factor=factor,
        queries=grid.queries,
        keys=grid.keys,
        block=grid.block,
        stride=grid.stride,
    )


def select(scores: Tensor, tau: float | Tensor, queries: int, keys: int, block: int) -> Tensor:
    """Which blocks are kept: forced ones first, then the best, while those kept so far hold less than ``tau``.

    Args:
        scores: (heads, query blocks, key blocks) from `block_scores`.
        tau: Share of each row's total that must be held; a number for all heads, or one for each; 1 keeps everything.
        queries: Tokens that ask.
        keys: Tokens in all.
        block: Tokens a side.

    Returns:
        Bool, shaped as the scores.
    """
    allowed = blocks.causal(queries, keys, block, scores.device)
    always = blocks.forced(queries, keys, block, scores.device)
    share = torch.as_tensor(tau, dtype=scores.dtype, device=scores.device).expand(scores.shape[0])[:, None, None]
    held = (scores * always).sum(-1, keepdim=True)
    total = (scores * allowed).sum(-1, keepdim=True)
    free = scores.masked_fill(always | ~allowed, -1.0)
    best, order = free.sort(-1, descending=True)
    before = held + best.clamp(min=0).cumsum(-1) - best.clamp(min=0)
    keep = (before < share * total) & (best >= 0)
    return torch.zeros_like(keep).scatter(-1, order, keep) | always | (allowed & (share >= 1))


def kept_blocks(query: Tensor, key: Tensor, *, tau: float | Tensor = 0.9, block: int = 128, stride: int = 16) -> Tensor:
    """The blocks that prefill attends to. Bool, (heads, query blocks, key blocks); arguments as above."""
    scores = block_scores(query, key, block=block, stride=stride)
    return select(scores, tau, query.shape[1], key.shape[1], block)
