"""The backend for CUDA: long prompts through the sparse kernels, everything else through vLLM's own FlashAttention.

Written against the contract of vLLM 0.32, whose FlashAttention keeps pages as (blocks, key-value heads, block size,
2 x head size). The kernels have been run on a GPU; this class, inside a vLLM on CUDA, has not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.v1.attention.backends.flash_attn import FlashAttentionBackend, FlashAttentionImpl

from coa.serving.sparse import kernels, streaming, xattention
from coa.serving.vllm_plugin import BACKEND
from coa.serving.vllm_plugin.paged import Paged, pairs

LONG = 2048
"""Queries from which on a request is read sparsely: below, estimating costs more than it saves."""


class SparseFlashBackend(FlashAttentionBackend):
    """FlashAttention, with another way to read long prompts."""

    @staticmethod
    def get_name() -> str:
        """As it is given to ``--attention-backend``."""
        return BACKEND

    @staticmethod
    def get_impl_cls() -> type[FlashAttentionImpl]:
        """The class that computes attention."""
        return SparseFlashImpl


class SparseFlashImpl(FlashAttentionImpl):
    """Batches with a long prompt, and all decoding under a budget, go request by request; others as they come."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        layers = get_current_vllm_config().model_config.hf_config.num_hidden_layers
        self.paged = PagedOnGpu(layers, self.num_kv_heads, self.head_size, self.scale)

    def forward(
        self,
        layer: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        kv_cache: Tensor,
        attn_metadata: Any,
        output: Tensor,
        output_scale: Tensor | None = None,
        output_block_scale: Tensor | None = None,
    ) -> Tensor:
        """Attention of each request's new tokens over its pages."""
        config = self.paged.policy.config
        budgeted = config.method in ("quest", "lserve", "streaming")
        if attn_metadata is None or not (budgeted or attn_metadata.max_query_len >= LONG):
            return super().forward(
                layer, query, key, value, kv_cache, attn_metadata, output, output_scale, output_block_scale
            )
        shape = (-1, self.num_heads, self.head_size)
        self.paged.forward(layer, query.view(shape), kv_cache, attn_metadata, output.view(shape))
        return output


class PagedOnGpu(Paged):
    """The sparse kernels where they serve; the masked reference where they do not."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        """Attention of one request, (heads, queries, head size)."""
        config, queries, keys = self.policy.config, query.shape[1], key.shape[1]
        if config.method not in ("xattention", "lserve") or queries < LONG or (keys - queries) % config.block:
            return super().attend(query, key, value, layer)
        scores = xattention.block_scores(query, key, block=config.block, stride=config.stride, scale=self.scale)
        kept = xattention.select(scores, config.tau, queries, keys, config.block)
        if self.policy.streams is not None:
            near = streaming.kept_blocks(
                queries, keys, sink=config.sink, recent=config.recent, block=config.block, device=query.device
            )
            streams = self.policy.streams[layer].to(query.device).repeat_interleave(query.shape[0] // key.shape[0])
            kept = torch.where(streams[:, None, None], near[None], kept)
        allowed = pairs(query, key)
        self.report.add(min(allowed, int(kept.sum()) * config.block**2), allowed)
        chosen = kernels.listed_ascending(kept)
        key, value = key.contiguous(), value.contiguous()
        return kernels.prefill(query.contiguous(), key, value, chosen, block=config.block, scale=self.scale)
