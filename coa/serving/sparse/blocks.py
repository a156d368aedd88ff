"""Blocks of queries against blocks of keys: what causality allows, what is always kept, and how masks grow and shrink.

Queries are the last ones of the sequence: query row ``r`` of ``n`` stands at position ``keys - n + r``. Blocks of keys
begin at position 0, blocks of queries at the first query.
"""

from __future__ import annotations

import torch
from torch import Tensor


def count(length: int, block: int) -> int:
    """How many blocks hold so many tokens."""
    return -(-length // block)


def _borders(queries: int, keys: int, block: int, device: torch.device | None) -> tuple[Tensor, Tensor, Tensor]:
    """First and last position of each block of queries (rows), and the number of each block of keys (columns)."""
    first = keys - queries + torch.arange(count(queries, block), device=device)[:, None] * block
    last = (first + block - 1).clamp(max=keys - 1)
    return first, last, torch.arange(count(keys, block), device=device)[None, :]


def rows_before(queries: int, keys: int, block: int) -> int:
    """Rows to put before the queries, so that they begin where a block of keys does, as the kernels want it."""
    return (keys - queries) % block


def causal(queries: int, keys: int, block: int, device: torch.device | None = None) -> Tensor:
    """Which pairs hold a key that a query may see. Bool, (query blocks, key blocks)."""
    _, last, number = _borders(queries, keys, block, device)
    return number * block <= last


def forced(queries: int, keys: int, block: int, device: torch.device | None = None) -> Tensor:
    """Which pairs are never skipped: the first block of keys and the ones the queries stand in. Bool, as `causal`."""
    first, last, number = _borders(queries, keys, block, device)
    own = ((number + 1) * block > first) & (number * block <= last)
    return own | (number == 0)


def expand(kept: Tensor, queries: int, keys: int, block: int) -> Tensor:
    """A mask over blocks as one over tokens, causal inside the diagonal. (..., queries, keys) of bool."""
    rows = torch.arange(queries, device=kept.device)
    columns = torch.arange(keys, device=kept.device)
    tokens = kept[..., rows // block, :][..., columns // block]
    return tokens & (columns[None, :] <= keys - queries + rows[:, None])


def density(kept: Tensor, queries: int, keys: int, block: int) -> float:
    """Share of the pairs of blocks allowed by causality that are kept, over all heads."""
    allowed = causal(queries, keys, block, kept.device)
    return float((kept & allowed).sum() / (allowed.sum() * kept[..., 0, 0].numel()))
