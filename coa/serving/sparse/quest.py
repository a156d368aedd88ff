"""Quest (arXiv 2406.10774, section 3): in decode, pages of keys are chosen by an upper bound of their products.

A page keeps the smallest and the largest value of each channel of its keys. For one query, the sum over channels of the
larger of the two products bounds every product with a key of the page from above. Heads that share keys share pages.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_PAGES = 3


def page_bounds(key: Tensor, page: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest key of each page, each (key-value heads, pages, head dim); the last page may be short."""
    missing = -key.shape[1] % page
    low = F.pad(key, (0, 0, 0, missing), value=float("inf"))
    high = F.pad(key, (0, 0, 0, missing), value=float("-inf"))
    shape = (key.shape[0], -1, page, key.shape[2])
    return low.view(shape).amin(2), high.view(shape).amax(2)


def page_scores(query: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Upper bound of the products of one query with the keys of each page, (heads, pages).

    Args:
        query: (heads, head dim).
        low: Smallest keys of the pages, as `page_bounds` gives them.
        high: Largest keys.
    """
    # max(q * low, q * high) is q * high where q is positive and q * low where it is not: two products do it.
    group = query.shape[0] // low.shape[0]
    grouped = query.view(low.shape[0], group, -1)
    bound = grouped.clamp(min=0) @ high.transpose(1, 2) + grouped.clamp(max=0) @ low.transpose(1, 2)
    return bound.flatten(0, 1)


def chosen_pages(scores: Tensor, kv_heads: int, budget: int, page: int) -> Tensor:
    """Numbers of the pages that are read, (key-value heads, chosen), in any order; the last page is always among them.

    Args:
        scores: (heads, pages) from `page_scores`.
        kv_heads: Heads that share keys take the best score of their group.
        budget: Tokens read, at most; never less than three pages.
        page: Tokens a page.
    """
    pages = scores.shape[-1]
    shared = scores.view(kv_heads, -1, pages).amax(1)
    shared[:, -1] = float("inf")
    return shared.topk(min(pages, max(LEAST_PAGES, budget // page)), sorted=False).indices


def decode(query: Tensor, key: Tensor, value: Tensor, pages: Tensor, page: int) -> Tensor:
    """Attention of one query over the chosen pages, (heads, head dim).

    Args:
        query: (heads, head dim).
        key: (key-value heads, keys, head dim).
        value: Like the keys.
        pages: (key-value heads, chosen) from `chosen_pages`.
        page: Tokens a page.
    """
    kv_heads, keys, dim = key.shape
    at = (pages[..., None] * page + torch.arange(page, device=key.device)).flatten(1)
    index = at.clamp(max=keys - 1)[..., None].expand(-1, -1, dim)
    asked = query.view(kv_heads, -1, dim)
    seen = (at < keys)[:, None] if keys % page else None
    out = F.scaled_dot_product_attention(asked, key.gather(1, index), value.gather(1, index), attn_mask=seen)
    return out.flatten(0, 1)


def token_mask(pages: Tensor, heads: int, keys: int, page: int) -> Tensor:
    """The chosen pages as a mask over tokens, bool, (heads, 1, keys), for the reference."""
    number = torch.arange(keys, device=pages.device) // page
    kept = (number[None, :, None] == pages[:, None, :]).any(-1)
    return kept.repeat_interleave(heads // pages.shape[0], dim=0)[:, None]
