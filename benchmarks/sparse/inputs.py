"""Queries, keys and values with the structure of real attention: sinks, neighbours, needles, topics; never white noise.

Heads come in four kinds, in turn. All look at the first tokens and at their neighbours; the first kind at nothing else,
the second also at all places of one of 64 topics, the third at a planted needle, the fourth, which hardly looks near,
at all places of one of 8 themes: an eighth of the text.

The strengths grow with the logarithm of the length, so that the share of attention outside the structure stays small at
any length.
"""

from __future__ import annotations

import math

import torch

WIDTH = 256
NEEDLES = 64
NEEDLE = 64
SPAN = 512
TOPICS = 64
THEMES = 8


def structured(
    heads: int,
    kv_heads: int,
    tokens: int,
    dim: int,
    *,
    seed: int,
    device: str,
    dtype: torch.dtype,
    kinds: tuple[tuple[int, ...], ...] = ((0, 1, 2, 3),),
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(heads, tokens, dim), (kv_heads, tokens, dim), (kv_heads, tokens, dim).

    ``kinds`` are those of the heads that share a key-value head, for each key-value head in turn.
    """
    draw = torch.Generator(device=device).manual_seed(seed)
    query = torch.empty((heads, tokens, dim), device=device, dtype=dtype)
    key = torch.empty((kv_heads, tokens, dim), device=device, dtype=dtype)
    group = heads // kv_heads
    for shared in range(kv_heads):
        key[shared], queries = _head(tokens, dim, group, draw, device)
        for i in range(group):
            own = kinds[shared % len(kinds)]
            query[shared * group + i] = queries(own[i % len(own)])
    value = torch.randn((kv_heads, tokens, dim), generator=draw, device=device, dtype=torch.float32).to(dtype)
    return query, key, value


def _head(tokens: int, dim: int, group: int, draw: torch.Generator, device: str):
    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw, device=device)

    near = dim // 2  # Random Fourier features of a Gaussian over the distance, so that neighbours are alike.
    turns = normal(near // 2) / WIDTH
    angle = torch.arange(tokens, device=device)[:, None] * turns
    place = torch.cat((angle.cos(), angle.sin()), 1) * (2 / near) ** 0.5
    half = near + 1 + (dim - near - 1) // 3

    def directions(many: int, width: int) -> torch.Tensor:
        return torch.nn.functional.normalize(normal(many, width), dim=1)

    def spans(many: int) -> torch.Tensor:
        drawn = torch.randint(many, (-(-tokens // SPAN),), generator=draw, device=device)
        return drawn.repeat_interleave(SPAN)[:tokens]

    themes, topics, needles = (
        directions(THEMES, half - near - 1),
        directions(TOPICS, dim - half),
        directions(NEEDLES, dim - half),
    )
    theme, meaning = themes[spans(THEMES)], topics[spans(TOPICS)]
    wanted_topic = meaning.clone()
    starts = torch.randint(max(1, tokens - NEEDLE), (NEEDLES,), generator=draw, device=device)
    for needle, start in zip(needles, starts.tolist(), strict=True):
        meaning[start : start + NEEDLE] = needle
    key = torch.zeros((tokens, dim), device=device)
    key[:, :near] = place
    key[:, near + 1 : half] = theme
    key[:, half:] = meaning
    key[:4] = torch.eye(dim, device=device)[near]
    unit = dim**0.5
    base = (math.log(tokens) + 3) * unit

    def queries(kind: int) -> torch.Tensor:
        query = torch.zeros((tokens, dim), device=device)
        query[:, :near] = place * (unit if kind % 4 == 3 else base)
        query[:, near] = base + 4 * unit
        if kind % 4 == 1:
            query[:, half:] = wanted_topic * base
        if kind % 4 == 2:
            wanted = torch.randint(NEEDLES, (-(-tokens // WIDTH),), generator=draw, device=device)
            query[:, half:] = needles[wanted].repeat_interleave(WIDTH, 0)[:tokens] * base
        if kind % 4 == 3:
            query[:, near + 1 : half] = theme * base
        return query + normal(tokens, dim) * 0.5

    return key + normal(tokens, dim) * 0.02, queries
