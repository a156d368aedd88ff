"""The reader's network while it is trained: a Llama in plain torch, with positions of one's own choosing.

Saved, it is read by ``transformers.LlamaForCausalLM`` and by vLLM as it is. Two things make it read after minutes on a
CPU instead of days: attention heads of the first layer look a fixed number of tokens back from the first step on (set
through the biases of queries and keys, so that training may change it), and matrices are trained with Muon.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LOOK_BACK_FREQUENCIES = 10
_LOOK_BACK_STRENGTH = 30.0


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network; ``head_dim`` is one that vLLM's CPU attention knows."""

    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 256
    inner: int = 384
    theta: float = 1e8
    epsilon: float = 1e-6


class Layer(nn.Module):
    """Attention, then a gated network, each on the normalised stream."""

    def __init__(self, shape: Shape, first: bool) -> None:
        super().__init__()
        self.shape = shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q = nn.Linear(shape.width, queries)
        self.k = nn.Linear(shape.width, keys)
        self.v = nn.Linear(shape.width, keys)
        self.o = nn.Linear(queries, shape.width, bias=False)
        self.gate = nn.Linear(shape.width, shape.inner, bias=False)
        self.up = nn.Linear(shape.width, shape.inner, bias=False)
        self.down = nn.Linear(shape.inner, shape.width, bias=False)
        self.before_attention = nn.Parameter(torch.ones(shape.width))
        self.before_network = nn.Parameter(torch.ones(shape.width))
        self._initialise(first)

    def _initialise(self, first: bool) -> None:
        for linear in (self.q, self.k, self.v, self.o, self.gate, self.up, self.down):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
            if linear.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                nn.init.zeros_(linear.bias)
        with torch.no_grad():
            for linear in (self.o, self.down):
                linear.weight /= math.sqrt(2 * self.shape.layers)
            if first:
                self._look_back()

    def _look_back(self) -> None:
        """Head h attends to the token h+1 places before it."""
        shape = self.shape
        half, fast = shape.head_dim // 2, _LOOK_BACK_FREQUENCIES
        turn = shape.theta ** (-torch.arange(fast) / half)
        strength = math.sqrt(_LOOK_BACK_STRENGTH * math.sqrt(shape.head_dim / 64))
        self.q.weight *= 0.3
        self.k.weight *= 0.3
        for head in range(shape.heads):
            angle = (head + 1) * turn
            start = head * shape.head_dim
            self.q.bias[start : start + fast] = strength * angle.cos()
            self.q.bias[start + half : start + half + fast] = -strength * angle.sin()
        for head in range(shape.kv_heads):
            self.k.bias[head * shape.head_dim : head * shape.head_dim + fast] = strength

    def forward(self, stream: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Shapes: stream (batch, length, width); cos, sin (batch, 1, length, head_dim / 2)."""
        shape = self.shape
        batch, length, _ = stream.shape
        hidden = F.rms_norm(stream, (shape.width,), self.before_attention, shape.epsilon).to(dtype)
        query = self.q(hidden).view(batch, length, shape.heads, shape.head_dim).transpose(1, 2)
        key = self.k(hidden).view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
        value = self.v(hidden).view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
        attended = F.scaled_dot_product_attention(
            turned(query, cos, sin), turned(key, cos, sin), value, is_causal=True, enable_gqa=True
        )
        stream = stream + self.o(attended.transpose(1, 2).reshape(batch, length, -1))
        hidden = F.rms_norm(stream, (shape.width,), self.before_network, shape.epsilon).to(dtype)
        return stream + self.down(F.silu(self.gate(hidden)) * self.up(hidden))


def turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions (arXiv 2104.09864), halves rotated against each other as Llama does."""
    one, two = heads.chunk(2, dim=-1)
    return torch.cat((one * cos - two * sin, two * cos + one * sin), dim=-1).to(heads.dtype)


class Network(nn.Module):
    """The whole reader. The table of pieces serves input and output alike."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.pieces = nn.Embedding(shape.vocabulary, shape.width)
        nn.init.normal_(self.pieces.weight, std=shape.width**-0.5)
        self.layers = nn.ModuleList(Layer(shape, first=number == 0) for number in range(shape.layers))
        self.last = nn.Parameter(torch.ones(shape.width))

    def forward(self, ids: Tensor, positions: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Hidden states (batch, length, width) of ids (batch, length) at those positions; matrices in ``dtype``."""
        half = self.shape.head_dim // 2
        turn = self.shape.theta ** (-torch.arange(half, device=ids.device) / half)
        angles = positions[:, None, :, None] * turn
        cos, sin = angles.cos(), angles.sin()
        stream = self.pieces(ids)
        for layer in self.layers:
            stream = layer(stream, cos, sin, dtype)
        return F.rms_norm(stream, (self.shape.width,), self.last, self.shape.epsilon)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the pieces."""
        return F.linear(hidden, self.pieces.weight)


_NAMES = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}


def as_llama(network: Network) -> dict[str, Tensor]:
    """The weights under the names of transformers' Llama."""
    weights = {"model.embed_tokens.weight": network.pieces.weight, "model.norm.weight": network.last}
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, Layer)
        at = f"model.layers.{number}."
        for ours, theirs in _NAMES.items():
            linear: nn.Linear = getattr(layer, ours)
            weights[f"{at}{theirs}.weight"] = linear.weight
            if linear.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
                weights[f"{at}{theirs}.bias"] = linear.bias
        weights[f"{at}self_attn.o_proj.bias"] = torch.zeros_like(layer.before_attention)
        weights[f"{at}input_layernorm.weight"] = layer.before_attention
        weights[f"{at}post_attention_layernorm.weight"] = layer.before_network
    return {name: weight.detach().clone().contiguous() for name, weight in weights.items()}


def llama_config(shape: Shape, window: int) -> dict[str, Any]:
    """``config.json`` of the saved reader."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": window,
        "rms_norm_eps": shape.epsilon,
        "rope_theta": shape.theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": shape.theta},
        "attention_bias": True,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }


def described(shape: Shape) -> dict[str, Any]:
    """The sizes, for a checkpoint."""
    return asdict(shape)
