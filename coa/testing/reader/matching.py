"""A start that finds: before any training, the first two layers continue what stands earlier in the text.

Heads of layer 0 look 1, 2, 3 ... tokens back (`coa.testing.reader.model`). Here they also write what they see, turned
by the first, second, third ... power of one rotation of the stream. The first half of the heads of layer 1 then
compare: the query is the stream, the key is the stream turned back by one power, so that those places match best
whose tokens before them are the latest tokens; they copy the token there. This is an induction head (Olsson et al.
2022, arXiv 2209.11895) that compares as many tokens as layer 0 has heads. Only pairs of positions that hardly turn
over the distance take part.

Trained at the rate of everything else it is worn away, so it is held still while the rest learns.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from coa.testing.reader.model import Layer, Network, Shape

_SHARP = 4.0
_COPY = 8.0
_STILL = 1 / 4096
"""Pairs of positions that turn by less than this angle a token, in radians, carry the comparison."""
_QUIET = 0.1
"""Of the pairs that turn, what is left."""
_FAINT = 0.3
"""Of what layer 0 adds beside, what is left: it blurs the comparison."""
_SEED = 5


def begin(network: Network) -> None:
    """Set the first two layers of a new network.

    Raises:
        ValueError: it has one layer, or its heads are narrower than its stream.
    """
    shape = network.shape
    if shape.layers < 2 or shape.head_dim < shape.width:
        raise ValueError("heads that match need two layers, and heads as wide as the stream")
    chance = torch.Generator().manual_seed(_SEED)
    rotation = torch.nn.init.orthogonal_(torch.empty(shape.width, shape.width), generator=chance)
    with torch.no_grad():
        _write_turned(_layer(network, 0), rotation)
        _compare(_layer(network, 1), rotation, chance)


def hold(network: Network) -> None:
    """After a backward pass: no gradient for what `begin` has set."""
    first, second = _layer(network, 0), _layer(network, 1)
    for linear in (first.q, first.k, first.v, first.o):
        _gradient(linear.weight).zero_()
    keys = _matching(network.shape) * network.shape.head_dim
    queries = keys * (network.shape.heads // network.shape.kv_heads)
    for linear, rows in ((second.q, queries), (second.k, keys), (second.v, keys)):
        _gradient(linear.weight)[:rows] = 0
        _gradient(linear.bias)[:rows] = 0
    _gradient(second.o.weight)[:, :queries] = 0


def _write_turned(layer: Layer, rotation: Tensor) -> None:
    shape = layer.shape
    whole = torch.eye(shape.head_dim, shape.width)
    layer.down.weight *= _FAINT
    layer.v.weight.copy_(whole.repeat(shape.kv_heads, 1) / math.sqrt(shape.width))
    turned, out = rotation, layer.o.weight.view(shape.width, shape.heads, shape.head_dim)
    for head in range(shape.heads):
        out[:, head] = turned @ whole.T
        turned = rotation @ turned


def _compare(layer: Layer, rotation: Tensor, chance: torch.Generator) -> None:
    shape, whole = layer.shape, torch.eye(layer.shape.head_dim, layer.shape.width)
    still = _still(shape)
    code = _SHARP * torch.randn(len(still), shape.width, generator=chance) / math.sqrt(shape.width)
    matching, group = _matching(shape), shape.heads // shape.kv_heads
    query, key, value = (linear.weight.view(-1, shape.head_dim, shape.width) for linear in (layer.q, layer.k, layer.v))
    out = layer.o.weight.view(shape.width, shape.heads, shape.head_dim)
    for heads, content in ((query[: matching * group], code), (key[:matching], code @ rotation.T)):
        heads *= _QUIET
        heads[:, still] = content
    value[:matching] = whole
    out[:, : matching * group] = (_COPY / math.sqrt(shape.width) / matching / group) * whole.T[:, None]


def _still(shape: Shape) -> list[int]:
    half = shape.head_dim // 2
    pairs = [pair for pair in range(half) if shape.theta ** (-pair / half) < _STILL]
    return pairs + [pair + half for pair in pairs]


def _matching(shape: Shape) -> int:
    """How many KV heads of layer 1 match."""
    return max(1, shape.kv_heads // 2)


def _layer(network: Network, number: int) -> Layer:
    layer = network.layers[number]
    assert isinstance(layer, Layer)
    return layer


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
