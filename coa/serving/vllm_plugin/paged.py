"""What both backends share: each request's new tokens against its own pages, under the policy's masks."""

from __future__ import annotations

import os
import re
from typing import Any

from torch import Tensor

from coa.errors import UsageError
from coa.serving.sparse import reference
from coa.serving.sparse.policy import Policy
from coa.serving.vllm_plugin import REPORT_VARIABLE
from coa.serving.vllm_plugin.report import Report

LEAVE = "Leave --profile out, or take another model."


class Paged:
    """Attention over a paged cache of (blocks, key-value heads, block size, 2 x head size), keys before values.

    Attributes:
        policy: Which keys are seen, of the heads that this worker computes.
        layers: Layers of the model that the policy was made for.
        head_size: Numbers a key.
        scale: Factor on the products.
        report: Where it is counted what ran.
    """

    def __init__(self, policy: Policy, layers: int, head_size: int, scale: float) -> None:
        self.policy, self.layers = policy, layers
        self.report = Report(policy.config, os.environ.get(REPORT_VARIABLE))
        self.head_size, self.scale = head_size, scale

    def forward(self, layer: Any, query: Tensor, kv_cache: Tensor, metadata: Any, output: Tensor) -> None:
        """Write the attention of every request's new tokens; prefill in one or in pieces, and decode, alike.

        Args:
            layer: vLLM's layer; its name holds its number.
            query: (tokens, heads, head size), the requests one after the other, perhaps with padding behind them.
            kv_cache: The pages.
            metadata: vLLM's: where requests start, how long they are, which pages are theirs.
            output: (tokens, heads, head size), written.

        Raises:
            UsageError: some of the requests are not read from left to right.
        """
        if metadata.causal is not True:
            raise UsageError("sparse attention sees what came before, and this model looks ahead", hint=LEAVE)
        number = number_of(layer)
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


def number_of(layer: Any) -> int:
    """A layer's number, from its name, such as ``model.layers.3.self_attn.attn``.

    Raises:
        UsageError: there is none in it.
    """
    found = re.search(r"\.(\d+)\.", layer.layer_name)
    if found is None:
        raise UsageError(f"which layer {layer.layer_name!r} is cannot be told", hint=LEAVE)
    return int(found[1])


def pairs(query: Tensor, key: Tensor) -> int:
    """Pairs of query and key that causality allows, over all heads."""
    heads, queries, _ = query.shape
    return heads * (queries * (key.shape[1] - queries) + queries * (queries + 1) // 2)
