"""What each carrier asks: which keys may these queries of this layer see?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from coa.serving.sparse import blocks, quest, reference, streaming, xattention
from coa.serving.sparse.config import SparseConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A configuration bound to a model's heads.

    Attributes:
        config: The method and its settings.
        streams: Which key-value heads stream, bool, (layers, key-value heads); None where the method knows none.
    """

    config: SparseConfig
    streams: Tensor | None = None

    @classmethod
    def of(cls, config: SparseConfig, layers: int, kv_heads: int) -> Policy:
        """Bind a configuration to a model of that many layers and key-value heads.

        Raises:
            UsageError: the table of heads is missing or belongs to another model.
        """
        if config.method not in ("streaming", "lserve"):
            return cls(config=config)
        if config.heads_file is None:
            everywhere = config.method == "streaming"
            return cls(config=config, streams=torch.full((layers, kv_heads), everywhere))
        scores = streaming.read_heads(Path(config.heads_file), layers, kv_heads)
        return cls(config=config, streams=streaming.streaming_heads(scores, config.streaming_share))

    def mask(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        """Which keys each query sees, bool, (heads, queries, keys); None if all that came before.

        Args:
            query: (heads, queries, head dim), the last queries of the sequence.
            key: (key-value heads, keys, head dim).
            layer: Number of the layer, from 0.
        """
        chosen = self._decoding(query, key, layer) if query.shape[1] == 1 else self._reading(query, key)
        if self.streams is None or not self.streams[layer].any():
            return chosen
        queries, keys, config = query.shape[1], key.shape[1], self.config
        near = streaming.token_mask(queries, keys, sink=config.sink, recent=config.recent, device=query.device)
        if chosen is None:
            chosen = reference.causal_tokens(queries, keys, query.device)[None]
        streams = self.streams[layer].to(query.device).repeat_interleave(query.shape[0] // key.shape[0])
        return torch.where(streams[:, None, None], near[None], chosen)

    def _reading(self, query: Tensor, key: Tensor) -> Tensor | None:
        config = self.config
        if config.method not in ("xattention", "lserve") or config.tau >= 1:
            return None
        kept = xattention.kept_blocks(query, key, tau=config.tau, block=config.block, stride=config.stride)
        return blocks.expand(kept, query.shape[1], key.shape[1], config.block)

    def _decoding(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        config = self.config
        if config.method not in ("quest", "lserve") or layer < config.dense_layers or key.shape[1] <= config.budget:
            return None
        low, high = quest.page_bounds(key, config.page)
        scores = quest.page_scores(query[:, -1], low, high)
        pages = quest.chosen_pages(scores, key.shape[0], config.budget, config.page)
        return quest.token_mask(pages, query.shape[0], key.shape[1], config.page)
