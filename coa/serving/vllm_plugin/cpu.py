"""The backend for vLLM's CPU build: plain PyTorch over paged keys, correct and slow; it is there for tests.

Written against vLLM 0.32. Keys and values lie in a layout of our own, so writing and reading are both ours.
"""

from __future__ import annotations

import os
import re

import torch
from torch import Tensor
from vllm.config import get_current_vllm_config
from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend, CPUAttentionBackendImpl

from coa.serving.sparse import reference
from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.policy import Policy
from coa.serving.vllm_plugin import CONFIG_VARIABLE, REPORT_VARIABLE
from coa.serving.vllm_plugin.report import Report


class SparseCPUBackend(CPUAttentionBackend):
    """The CPU backend with another way to read and write."""

    @staticmethod
    def get_impl_cls() -> type[CPUAttentionBackendImpl]:
        """The class that computes attention."""
        return SparseCPUImpl


class SparseCPUImpl(CPUAttentionBackendImpl):
    """Attention under the policy's masks, one request after the other."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        config = SparseConfig.from_json(os.environ[CONFIG_VARIABLE])
        model = get_current_vllm_config().model_config.hf_config
        self.policy = Policy.of(config, model.num_hidden_layers, self.num_kv_heads)
        self.report = Report(config.method, os.environ.get(REPORT_VARIABLE))

    def do_kv_cache_update(
        self, layer: torch.nn.Module, key: Tensor, value: Tensor, kv_cache: Tensor, slot_mapping: Tensor
    ) -> None:
        """Write keys and values, each (tokens, heads, head size), where the slots say; a negative slot is padding."""
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
        """Attention of each request's new tokens over its pages; prefill in one or in pieces, and decode, alike."""
        if attn_metadata is None:  # vLLM warms up.
            return output
        starts = attn_metadata.query_start_loc.tolist()
        written = output.view(-1, self.num_heads, self.head_size)
        for number, length in enumerate(attn_metadata.seq_lens.tolist()):
            rows = slice(starts[number], starts[number + 1])
            if rows.stop > rows.start:
                keys, values = self._pages(kv_cache, attn_metadata.block_table[number], length)
                asked = query[rows].view(-1, self.num_heads, self.head_size).transpose(0, 1)
                found = self._attend(asked, keys, values, _layer(layer))
                written[rows] = found.transpose(0, 1).to(output.dtype)
        return output

    def _pages(self, kv_cache: Tensor, table: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one request, each (key-value heads, length, head size)."""
        pages = kv_cache[table[: -(-length // kv_cache.shape[2])].long()]
        joined = pages.transpose(0, 1).flatten(1, 2)[:, :length]
        return joined[..., : self.head_size], joined[..., self.head_size :]

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        mask = self.policy.mask(query, key, layer)
        queries, keys = query.shape[1], key.shape[1]
        allowed = query.shape[0] * (queries * (keys - queries) + queries * (queries + 1) // 2)
        self.report.add(allowed if mask is None else int(mask.sum()), allowed)
        return reference.attention(query, key, value, mask, self.scale)


def _layer(layer: torch.nn.Module) -> int:
    return int(re.search(r"layers\.(\d+)\.", layer.layer_name)[1])
