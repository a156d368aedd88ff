"""A threshold for each head: XAttention's ``tau`` only as high as the answers need it.

The question of arXiv 2503.16428, section 2.3 (minimum threshold prediction), answered there by dynamic programming over
heads and steps of 0.9. Here heads are lowered together, and by halves where that costs too much: a few heads need
everything, and the search for them costs their number times the logarithm of all.

A table has a line ``# block=... stride=...``, for which it holds, then a line a layer and a number a query head, from 0
to 1, where a head attends in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.hf import sparse
from coa.serving.sparse.policy import Policy

LADDER = (0.95, 0.9, 0.8)
"""Tried in turn. Lower ones pass on few texts and fail on others: `benchmarks/sparse` shows it."""
BUDGET = 0.02
"""Nats that an answer may lose."""
Head = tuple[int, int]
"""Layer and query head."""


def head_thresholds(
    model: Any,
    loss: Callable[[], float],
    config: SparseConfig,
    *,
    budget: float = BUDGET,
    ladder: Sequence[float] = LADDER,
) -> Tensor:
    """Thresholds, (layers, query heads), with which all heads together cost no more than the budget.

    Args:
        model: A model of transformers.
        loss: Runs the model over texts whose answers need far context, and says how bad the answers are, in nats.
        config: ``block`` and ``stride``.
        budget: Nats that may be lost, beside full attention.
        ladder: Thresholds below 1, from the highest.
    """
    shape = model.config
    found = torch.ones((shape.num_hidden_layers, shape.num_attention_heads))
    bound = replace(config, method="xattention")

    def costs(tried: Tensor) -> float:
        with sparse(model, Policy(config=bound, taus=tried)):
            return loss()

    limit = costs(found) + budget
    heads = [(layer, head) for layer in range(found.shape[0]) for head in range(found.shape[1])]
    for tau in ladder:
        heads = lowered(found, heads, tau, lambda tried: costs(tried) <= limit)
    return found


def lowered(taus: Tensor, heads: list[Head], tau: float, holds: Callable[[Tensor], bool]) -> list[Head]:
    """Lower the heads that can be, in place, and say which: all of them at once, else one half and then the other.

    Args:
        taus: Thresholds as they are.
        heads: Which to lower.
        tau: To what.
        holds: Whether a table is good enough.
    """
    if not heads:
        return []
    tried = taus.clone()
    for head in heads:
        tried[head] = tau
    if holds(tried):
        taus.copy_(tried)
        return heads
    if len(heads) == 1:
        return []
    half = len(heads) // 2
    return [*lowered(taus, heads[:half], tau, holds), *lowered(taus, heads[half:], tau, holds)]
