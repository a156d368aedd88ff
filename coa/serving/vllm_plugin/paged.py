"""What both backends share: each request's new tokens against its own pages, under the policy's masks."""

from __future__ import annotations

import os
import re
from typing import Any

from torch import Tensor

from coa.serving.sparse import reference
from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.policy import Policy
from coa.serving.vllm_plugin import CONFIG_VARIABLE, REPORT_VARIABLE
from coa.serving.vllm_plugin.report import Report


class Paged:
    """Attention over a paged cache of (blocks, key-value heads, block size, 2 x head size), keys before values."""

    def __init__(self, layers: int, heads: int, kv_heads: int, head_size: int, scale: float) -> None:
        config = SparseConfig.from_json(os.environ[CONFIG_VARIABLE])
        self.policy = Policy.of(config, layers, heads, kv_heads)
        self.report = Report(config, os.environ.get(REPORT_VARIABLE))
        self.head_size, self.scale = head_size, scale

    def forward(self, layer: Any, query: Tensor, kv_cache: Tensor, metadata: Any, output: Tensor) -> None:
        """Write the attention of every request's new tokens; prefill in one or in pieces, and decode, alike.

        Args:
            layer: vLLM's layer; its name holds its number.
            query: (tokens, heads, head size), the requests one after the other.
            kv_cache: The pages.
            metadata: vLLM's: where requests start, how long they are, which pages are theirs.
            output: (tokens, heads, head size), written.
        """
        number = int(re.search(r"layers\.(\d+)\.", layer.layer_name)[1])
        starts = metadata.query_start_loc.tolist()
        for request, length in enumerate(metadata.seq_lens.tolist()):
            rows = slice(starts[request], starts[request + 1])
            if rows.stop > rows.start:
                keys, values = self._pages(kv_cache, metadata.block_table[request], length)
                found = self.attend(query[rows].transpose(0, 1), keys, values, number)
                output[rows] = found.transpose(0, 1).to(output.dtype)

    def _pages(self, kv_cache: Tensor, table: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of one request, each (key-value heads, length, head size)."""
        pages = kv_cache[table[: -(-length // kv_cache.shape[2])].long()]
        joined = pages.transpose(0, 1).flatten(1, 2)[:, :length]
        return joined[..., : self.head_size], joined[..., self.head_size :]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, layer: int) -> Tensor:
        """Attention of one request, (heads, queries, head size): the masked dense reference."""
        mask = self.policy.mask(query, key, layer)
        allowed = pairs(query, key)
        self.report.add(allowed if mask is None else int(mask.sum()), allowed)
        return reference.attention(query, key, value, mask, self.scale)


def pairs(query: Tensor, key: Tensor) -> int:
    """Pairs of query and key that causality allows, over all heads."""
    heads, queries, _ = query.shape
    return heads * (queries * (key.shape[1] - queries) + queries * (queries + 1) // 2)
