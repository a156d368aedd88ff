"""The masks inside transformers: ``with sparse(model, config): model.generate(...)``.

Masked dense attention: it changes what a model sees, not how fast it is. One sequence at a time, without padding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from coa.serving.sparse import reference
from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.policy import Policy

NAME = "coa_sparse"


@contextmanager
def sparse(model: Any, config: SparseConfig | Policy) -> Iterator[Policy]:
    """Let a model of transformers attend as the configuration says, until the block ends.

    Args:
        model: Anything with a Llama-like configuration that takes ``set_attn_implementation``.
        config: The method, or a policy with heads of one's own choosing.

    Raises:
        UsageError: the table of heads belongs to another model.
    """
    shape = model.config
    heads = (shape.num_attention_heads, shape.num_key_value_heads)
    policy = config if isinstance(config, Policy) else Policy.of(config, shape.num_hidden_layers, *heads)
    masks: Any = import_module("transformers.masking_utils")
    import_module("transformers").AttentionInterface.register(NAME, attention)
    masks.AttentionMaskInterface.register(NAME, masks.sdpa_mask)
    before = shape._attn_implementation
    model.set_attn_implementation(NAME)
    for layer in attentions(model):
        layer.coa_policy = policy
    try:
        yield policy
    finally:
        model.set_attn_implementation(before)


def attentions(model: Any) -> list[Any]:
    """The modules that attend, in the order of their layers."""
    found = [module for module in model.modules() if hasattr(module, "layer_idx") and hasattr(module, "q_proj")]
    return sorted(found, key=lambda module: module.layer_idx)


def attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """As transformers calls it: query (batch, heads, queries, head dim), result (batch, queries, heads, head dim)."""
    policy: Policy = module.coa_policy
    found = [
        reference.attention(one, keys, values, policy.mask(one, keys, module.layer_idx), scaling)
        for one, keys, values in zip(query, key, value, strict=True)
    ]
    return torch.stack(found).transpose(1, 2), None
