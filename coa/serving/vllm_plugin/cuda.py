"""The backend for CUDA: long prompts through the sparse kernels, everything else through vLLM's own FlashAttention.

Written against the contract of vLLM 0.32, whose FlashAttention keeps pages as (blocks, key-value heads, block size,
2 x head size). The kernels have been run on a GPU; this class, inside a vLLM on CUDA, has not.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.v1.attention.backends.flash_attn import FlashAttentionBackend, FlashAttentionImpl

from coa.errors import UsageError
from coa.serving.sparse import blocks, kernels, reference, streaming, xattention
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
        if self.kv_cache_dtype.startswith("fp8"):
            raise UsageError("sparse attention reads no cache in 8 bits", hint="Leave --kv-cache-dtype out.")
        layers = get_current_vllm_config().model_config.hf_config.num_hidden_layers
        self.paged = PagedOnGpu(layers, self.num_heads, self.num_kv_heads, self.head_size, self.scale)

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
            if attn_metadata is not None:
                self.paged.report.add(0, 0)  # Ours was asked, and there was nothing to skip.
            return super().forward(
                layer, query, key, value, kv_cache, attn_metadata, output, output_scale, output_block_scale
            )
        shape = (-1, self.num_heads, self.head_size)
        self.paged.forward(layer, query.view(shape), kv_cache, attn_metadata, output.view(shape))
        return output


class PagedOnGpu(Paged):
    """Prompts through the kernel; single tokens through a masked product, which is right and saves nothing yet."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        """Attention of one request, (heads, queries, head size)."""
        if query.shape[1] > 1:
            return self._read(query, key.contiguous(), value.contiguous(), layer)
        mask = self.policy.mask(query, key, layer)
        allowed = pairs(query, key)
        kept = allowed if mask is None else int(mask.expand(query.shape[0], -1, -1).sum())
        self.report.add(kept, allowed)
        return reference.decode(query, key, value, mask, self.scale)

    def _read(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        """A prompt, or a piece of one, wherever it begins: rows of nothing before it fill up its first block."""
        block, keys = self.policy.config.block, key.shape[1]
        extra = blocks.rows_before(query.shape[1], keys, block)
        padded = F.pad(query, (0, 0, extra, 0)).contiguous()
        kept = self._kept(padded, key, layer, short=query.shape[1] < LONG)
        allowed = pairs(query, key)
        self.report.add(min(allowed, int(kept.sum()) * block**2), allowed)
        chosen = kernels.listed_ascending(kept)
        return kernels.prefill(padded, key, value, chosen, block=block, scale=self.scale)[:, extra:]

    def _kept(self, query: Tensor, key: Tensor, layer: int, *, short: bool) -> Tensor:
        """Blocks that are read, bool, (heads, query blocks, key blocks)."""
        config, (heads, queries, _), keys = self.policy.config, query.shape, key.shape[1]
        if config.method in ("xattention", "lserve") and not short:
            scores = xattention.block_scores(query, key, block=config.block, stride=config.stride, scale=self.scale)
            kept = xattention.select(scores, self.policy.tau(layer), queries, keys, config.block)
        else:
            kept = blocks.causal(queries, keys, config.block, query.device).expand(heads, -1, -1)
        if self.policy.streams is None:
            return kept
        near = streaming.kept_blocks(
            queries, keys, sink=config.sink, recent=config.recent, block=config.block, device=query.device
        )
        streams = self.policy.streams[layer].to(query.device).repeat_interleave(heads // key.shape[0])
        return torch.where(streams[:, None, None], near[None], kept)
