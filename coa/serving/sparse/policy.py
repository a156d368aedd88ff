"""What each carrier asks: which keys may these queries of this layer see?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from coa.serving.sparse import blocks, quest, reference, streaming, xattention
from coa.serving.sparse.config import KNOBS, SparseConfig
from coa.serving.sparse.heads import read_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A configuration bound to a model's heads.

    Attributes:
        config: The method and its settings.
        streams: Which key-value heads stream, bool, (layers, key-value heads); None where the method knows none.
        taus: XAttention's threshold of each query head, (layers, heads); None where all go by the configuration's.
    """

    config: SparseConfig
    streams: Tensor | None = None
    taus: Tensor | None = None

    @classmethod
    def of(cls, config: SparseConfig, layers: int, heads: int, kv_heads: int) -> Policy:
        """Bind a configuration to a model of that many layers, query heads and key-value heads.

        Raises:
            UsageError: a table of heads is missing or belongs to another model.
        """
        taus = None
        if config.thresholds_file is not None and "tau" in KNOBS[config.method]:
            taus = torch.tensor(read_rows(Path(config.thresholds_file), layers, heads))
        return cls(config=config, streams=_streams(config, layers, kv_heads), taus=taus)

    def part(self, rank: int, ranks: int) -> Policy:
        """What one of several workers computes, which share the heads of each layer among them.

        Args:
            rank: Number of the worker, from 0.
            ranks: How many there are; where key-value heads are fewer, several workers keep the same one.
        """
        return replace(self, streams=_part(self.streams, rank, ranks), taus=_part(self.taus, rank, ranks))

    def tau(self, layer: int) -> float | Tensor:
        """The threshold of a layer, or of each of its heads."""
        return self.config.tau if self.taus is None else self.taus[layer]

    def mask(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        """Which keys each query sees, bool, (heads, queries, keys); None if all that came before.

        Args:
            query: (heads, queries, head dim), the last queries of the sequence.
            key: (key-value heads, keys, head dim).
            layer: Number of the layer, from 0.
        """
        chosen = self._decoding(query, key, layer) if query.shape[1] == 1 else self._reading(query, key, layer)
        if self.streams is None or not self.streams[layer].any():
            return chosen
        queries, keys, config = query.shape[1], key.shape[1], self.config
        near = streaming.token_mask(queries, keys, sink=config.sink, recent=config.recent, device=query.device)
        if chosen is None:
            chosen = reference.causal_tokens(queries, keys, query.device)[None]
        streams = self.streams[layer].to(query.device).repeat_interleave(query.shape[0] // key.shape[0])
        return torch.where(streams[:, None, None], near[None], chosen)

    def _reading(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        config, tau = self.config, self.tau(layer)
        if "tau" not in KNOBS[config.method] or bool(torch.as_tensor(tau >= 1).all()):
            return None
        kept = xattention.kept_blocks(query, key, tau=tau, block=config.block, stride=config.stride)
        return blocks.expand(kept, query.shape[1], key.shape[1], config.block)

    def _decoding(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        config = self.config
        if config.method not in ("quest", "lserve") or layer < config.dense_layers or key.shape[1] <= config.budget:
            return None
        low, high = quest.page_bounds(key, config.page)
        scores = quest.page_scores(query[:, -1], low, high)
        pages = quest.chosen_pages(scores, key.shape[0], config.budget, config.page)
        return quest.token_mask(pages, query.shape[0], key.shape[1], config.page)


def _part(heads: Tensor | None, rank: int, ranks: int) -> Tensor | None:
    if heads is None:
        return None
    first = rank * heads.shape[1] // ranks
    return heads[:, first : first + max(1, heads.shape[1] // ranks)]


def _streams(config: SparseConfig, layers: int, kv_heads: int) -> Tensor | None:
    """Which key-value heads stream."""
    if "streaming_share" not in KNOBS[config.method]:
        return None
    if config.heads_file is None:
        return torch.full((layers, kv_heads), config.method == "streaming")
    scores = streaming.read_heads(Path(config.heads_file), layers, kv_heads)
    return streaming.streaming_heads(scores, config.streaming_share)
