"""The backend for vLLM's CPU build: plain PyTorch over paged keys, correct and slow; it is there for tests.

Written against vLLM 0.32. Keys and values lie in a layout of our own, so writing and reading are both ours.
"""

from __future__ import annotations

import torch
from torch import Tensor
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend, CPUAttentionBackendImpl

from coa.serving.vllm_plugin.layers import bound
from coa.serving.vllm_plugin.paged import Paged


class SparseCPUBackend(CPUAttentionBackend):
    """The CPU backend with another way to read and write."""

    @staticmethod
    def get_impl_cls() -> type[CPUAttentionBackendImpl]:
        """The class that computes attention."""
        return SparseCPUImpl


class PagedInDouble(Paged):
    """With 64-bit floats: what is left between it and stock attention is stock attention's own rounding."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        """Attention of one request, (heads, queries, head size)."""
        return super().attend(query.double(), key.double(), value.double(), layer)


class SparseCPUImpl(CPUAttentionBackendImpl):
    """Attention under the policy's masks, one request after the other."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.paged = bound(self, PagedInDouble)

    def do_kv_cache_update(
        self, layer: torch.nn.Module, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write keys and values, each (tokens, heads, head size), where the slots say; a negative slot is padding."""
        if self.paged is None:
            return super().do_kv_cache_update(layer, key, value, kv_cache, slot_mapping)
        size, width = kv_cache.shape[2], self.head_size
        used = slot_mapping >= 0
        slots = slot_mapping[used]
        kv_cache[slots // size, :, slots % size, :width] = key[: used.numel()][used].to(kv_cache.dtype)
        kv_cache[slots // size, :, slots % size, width:] = value[: used.numel()][used].to(kv_cache.dtype)

    def forward(
        self,
        layer: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kv_cache: Tensor,
        attn_metadata: object,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """Attention of each request's new tokens over its pages."""
        if self.paged is None:
            given = (layer, query, key, value, kv_cache, attn_metadata, output, output_scale, output_block_scale)
            return super().forward(*given)
        if attn_metadata is not None:  # None: vLLM warms up.
            shape = (-1, self.num_heads, self.head_size)
            self.paged.forward(layer, query.view(shape), kv_cache, attn_metadata, output.view(shape))
        return output
