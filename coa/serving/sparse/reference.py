"""The truth that every carrier is compared with: dense attention under a mask, in 32-bit floats or wider."""

from __future__ import annotations

import torch
from torch import Tensor


def probabilities(query: Tensor, key: Tensor, mask: Tensor | None, scale: float | None = None) -> Tensor:
    """Attention weights, (heads, queries, keys), rows that sum to 1.

    Args:
        query: (heads, queries, head dim); the last queries of the sequence.
        key: (key-value heads, keys, head dim); each serves ``heads / key-value heads`` neighbouring heads.
        mask: Bool, (heads or 1, queries, keys), True where a query sees a key; None is plain causal attention.
        scale: Factor on the products; one over the root of the head dim if None.
    """
    heads, queries, dim = query.shape
    keys = key.shape[1]
    if mask is None:
        mask = causal_tokens(queries, keys, query.device)[None]
    shared = _wide(key).repeat_interleave(heads // key.shape[0], dim=0)
    logits = _wide(query) @ shared.transpose(1, 2) * (dim**-0.5 if scale is None else scale)
    return logits.masked_fill(~mask, float("-inf")).softmax(-1)


def attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """Attention under a mask, (heads, queries, head dim) in the dtype of the queries; arguments as `probabilities`."""
    shared = _wide(value).repeat_interleave(query.shape[0] // value.shape[0], dim=0)
    return (probabilities(query, key, mask, scale) @ shared).to(query.dtype)


def causal_tokens(queries: int, keys: int, device: torch.device | None = None) -> Tensor:
    """Bool, (queries, keys): the last ``queries`` positions see themselves and what came before."""
    at = keys - queries + torch.arange(queries, device=device)
    return torch.arange(keys, device=device)[None, :] <= at[:, None]


def recall(query: Tensor, key: Tensor, kept: Tensor) -> Tensor:
    """Share of the true attention that falls on kept keys, (heads, queries); ``kept`` as the mask of `attention`."""
    return (probabilities(query, key, None) * kept).sum(-1)


def decode(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """`attention` of one query without copies of shared keys, for long caches: (heads, 1, head dim)."""
    shared, _, dim = key.shape
    asked = query.reshape(shared, -1, dim).float()
    logits = asked @ key.float().transpose(1, 2) * scale
    if mask is not None:
        logits = logits.masked_fill(~mask.view_as(logits), float("-inf"))
    return (logits.softmax(-1) @ value.float()).view(query.shape).to(query.dtype)


def _wide(given: Tensor) -> Tensor:
    return given if given.dtype == torch.float64 else given.float()
