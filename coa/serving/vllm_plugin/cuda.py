"""The backend for CUDA: long prompts through the sparse kernels, everything else through vLLM's own FlashAttention.

Written against the contract of vLLM 0.32, whose FlashAttention keeps pages as (blocks, key-value heads, block size,
2 x head size). The kernels have been measured on a GPU. These classes are tested on a processor: vLLM's code for CUDA
chooses, feeds and asks them, inside an engine, too, and the kernels run in Triton's interpreter. Inside a vLLM on CUDA
they have never been run.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from vllm.v1.attention.backend import AttentionCGSupport
from vllm.v1.attention.backends.flash_attn import (
    FlashAttentionBackend,
    FlashAttentionImpl,
    FlashAttentionMetadataBuilder,
)

from coa.serving.sparse import blocks, kernels, reference, streaming, xattention
from coa.serving.sparse.config import GPU_HEAD_SIZES, check_block
from coa.serving.vllm_plugin import BACKEND
from coa.serving.vllm_plugin.layers import bound, configured
from coa.serving.vllm_plugin.paged import Paged, number_of, pairs

LONG = 2048
"""Queries from which on a request is read sparsely: below, estimating costs more than it saves."""

_BUDGETED = ("quest", "lserve", "streaming")
"""Methods that skip keys for single tokens, too."""
_LOOKS_AHEAD = ("mm_prefix_query_range_tensor", "rswa_prefix_lens")
"""What vLLM tells of batches that are not plainly causal: pictures that are seen both ways, windows behind a prompt."""


class SparseFlashBackend(FlashAttentionBackend):
    """FlashAttention, with another way to read long prompts."""

    supported_kv_cache_dtypes = ("auto", "float16", "bfloat16")

    @staticmethod
    def get_name() -> str:
        """As it is given to ``--attention-backend``."""
        return BACKEND

    @staticmethod
    def get_impl_cls() -> type[FlashAttentionImpl]:
        """The class that computes attention."""
        return SparseFlashImpl

    @staticmethod
    def get_builder_cls() -> type[FlashAttentionMetadataBuilder]:
        """The class that describes batches."""
        return SparseFlashBuilder

    @classmethod
    def supports_head_size(cls, head_size: int) -> bool:
        """Whether the kernels know it."""
        return head_size in GPU_HEAD_SIZES

    @classmethod
    def supports_batch_invariance(cls) -> bool:
        """What is kept of a prompt depends on the pieces in which it is read."""
        return False


class SparseFlashBuilder(FlashAttentionMetadataBuilder):
    """FlashAttention's, with a smaller promise about CUDA graphs."""

    @classmethod
    def get_cudagraph_support(cls, vllm_config: Any, kv_cache_spec: Any) -> AttentionCGSupport:
        """A graph holds what was computed when it was captured.

        Under a budget each token asks anew which pages it reads. Otherwise only long prompts do: batches of single
        tokens are FlashAttention's own, and may be captured as it captures them.
        """
        if configured().method in _BUDGETED:
            return AttentionCGSupport.NEVER
        own = super().get_cudagraph_support(vllm_config, kv_cache_spec)
        return min(own, AttentionCGSupport.UNIFORM_BATCH, key=lambda support: support.value)


class SparseFlashImpl(FlashAttentionImpl):
    """Batches with a long prompt, and all decoding under a budget, go request by request; others as they come."""

    # Each worker would see a part of the keys alone.
    supports_dcp = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.paged = bound(self, PagedOnGpu)
        if self.paged is not None:
            check_block(self.paged.policy.config.block)

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
        if output_scale is not None or output_block_scale is not None or not self._skips(layer, attn_metadata):
            given = (layer, query, key, value, kv_cache, attn_metadata, output, output_scale, output_block_scale)
            return super().forward(*given)
        shape = (-1, self.num_heads, self.head_size)
        self.paged.forward(layer, query.view(shape), kv_cache, attn_metadata, output.view(shape))
        return output

    def _skips(self, layer: torch.nn.Module, metadata: Any) -> bool:
        """Whether a batch is ours to compute; it is counted, too, where it could be and has nothing to skip."""
        if self.paged is None or metadata is None or metadata.causal is not True:
            return False
        # A model that drafts for another has layers behind the other's: its guesses are checked anyway.
        if any(getattr(metadata, name) is not None for name in _LOOKS_AHEAD) or number_of(layer) >= self.paged.layers:
            return False
        method = self.paged.policy.config.method
        if method in _BUDGETED or (method == "xattention" and metadata.max_query_len >= LONG):
            return True
        self.paged.report.add(0, 0)
        return False


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
        self.report.add(round(allowed * blocks.density(kept, padded.shape[1], keys, block)), allowed)
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
