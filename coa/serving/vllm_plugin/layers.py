"""Which layers of a model are ours, and by which policy: decided when vLLM makes each of them."""

from __future__ import annotations

import os
from typing import Any, TypeVar

from vllm.config import get_current_vllm_config
from vllm.distributed import get_tensor_model_parallel_rank

from coa.errors import UsageError
from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.policy import Policy
from coa.serving.vllm_plugin import CONFIG_VARIABLE
from coa.serving.vllm_plugin.paged import LEAVE, Paged

Kind = TypeVar("Kind", bound=Paged)
_WHOLE_NUMBERS = ("auto", "float32", "float16", "bfloat16")


def configured() -> SparseConfig:
    """What the launcher left in the environment."""
    return SparseConfig.from_json(os.environ[CONFIG_VARIABLE])


def bound(impl: Any, kind: type[Kind]) -> Kind | None:
    """What computes a layer; None where vLLM's own attention does: inside a window, or of an encoder's states.

    Args:
        impl: vLLM's implementation of the layer's attention, as its class has just made it.
        kind: The class that computes.

    Raises:
        UsageError: the model changes products in a way that sparse attention does not know, its cache is in 8 bits or
            fewer, or a table of heads belongs to another model.
    """
    if impl.attn_type != "decoder" or impl.sliding_window not in (-1, (-1, -1)):
        return None
    if impl.kv_cache_dtype not in _WHOLE_NUMBERS:
        raise UsageError(
            f"sparse attention reads no cache in {impl.kv_cache_dtype}", hint="Leave --kv-cache-dtype out."
        )
    changes = {
        "a cap on its products": bool(impl.logits_soft_cap),
        "ALiBi": impl.alibi_slopes is not None,
        "learned sinks": impl.sinks is not None,
    }
    for what, there in changes.items():
        if there:
            raise UsageError(f"the model has {what}, which sparse attention does not know", hint=LEAVE)
    config = get_current_vllm_config()
    model, ranks = config.model_config, config.parallel_config.tensor_parallel_size
    layers, heads = model.get_total_num_hidden_layers(), model.model_arch_config.total_num_attention_heads
    policy = Policy.of(configured(), layers, heads, model.get_total_num_kv_heads())
    rank = get_tensor_model_parallel_rank() if ranks > 1 else 0
    return kind(policy.part(rank, ranks), layers, impl.head_size, impl.scale)
