"""Triton kernels for CUDA: softmax sums over blocks, choice of blocks, attention over the chosen ones, merged decoding.

They compute what `xattention` and `reference` compute in plain PyTorch; `tests/serving/sparse` and
`benchmarks/sparse/gpu.py` compare the two wherever a CUDA device is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from coa.errors import UsageError
from coa.serving.sparse.config import check_block

_HALVINGS = 24
_LOG2_E = 1.4426950408889634


@triton.jit
def _softmax_block_sums(
    products, found, head_stride, row_stride, found_head, found_stride, start, factor, offset, queries, keys, columns,
    STRIDE: tl.constexpr, PER: tl.constexpr, WIDE: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    row = block * PER + tl.arange(0, PER)
    head = tl.program_id(1).to(tl.int64)
    at = products + head * head_stride + row[:, None].to(tl.int64) * row_stride
    found += head * found_head
    last = offset + (start + row + 1) * STRIDE - 1
    reach = tl.minimum((offset + (start + block * PER + PER) * STRIDE - 1) // STRIDE + 1, columns)
    top = tl.full((PER,), float("-inf"), tl.float32)
    total = tl.zeros((PER,), tl.float32)
    for first in range(0, reach, WIDE):
        column = first + tl.arange(0, WIDE)
        sees = (column[None, :] * STRIDE <= last[:, None]) & (column[None, :] * STRIDE < keys)
        value = tl.load(at + column[None, :], mask=sees & (column[None, :] < columns), other=float("-inf"))
        value = tl.where(sees, value.to(tl.float32) * factor, float("-inf"))
        higher = tl.maximum(top, tl.max(value, 1))
        total = total * tl.exp2(top - higher) + tl.sum(tl.exp2(value - higher[:, None]), 1)
        top = higher
    share = tl.where((start + row) * STRIDE < queries, 1.0 / total, 0.0)
    for first in range(0, reach, WIDE):
        column = first + tl.arange(0, WIDE)
        sees = (column[None, :] * STRIDE <= last[:, None]) & (column[None, :] * STRIDE < keys)
        value = tl.load(at + column[None, :], mask=sees & (column[None, :] < columns), other=float("-inf"))
        value = tl.where(sees, value.to(tl.float32) * factor, float("-inf"))
        weight = tl.sum(tl.exp2(value - top[:, None]) * share[:, None], 0)
        sums = tl.sum(tl.reshape(weight, (WIDE // PER, PER)), 1)
        key_block = first // PER + tl.arange(0, WIDE // PER)
        tl.store(found + block * found_stride + key_block, sums, mask=key_block * PER < columns)


def softmax_block_sums(
    found: Tensor, products: Tensor, *, start: int, factor: float, queries: int, keys: int, block: int, stride: int
) -> None:
    """Write the sums of the tiles of one slice of folded rows into ``found``, (heads, query blocks, key blocks).

    Args:
        found: Where the sums go; the last dimension is dense.
        products: (heads, folded rows, folded columns), products of folded queries and keys.
        start: Number of the first folded row of the slice.
        factor: Factor on the products before the softmax.
        queries: Tokens that ask.
        keys: Tokens in all.
        block: Tokens a side.
        stride: Tokens folded into one row.
    """
    per = block // stride
    heads, rows, columns = products.shape
    _softmax_block_sums[(rows // per, heads)](
        products, found, products.stride(0), products.stride(1), found.stride(0), found.stride(1), start,
        factor * _LOG2_E, keys - queries, queries, keys, columns, STRIDE=stride, PER=per, WIDE=1024, num_warps=4,
    )  # fmt: skip


@triton.jit
def _choose(scores, chosen, counts, tau, offset, key_blocks, width, BLOCK: tl.constexpr, WIDE: tl.constexpr,
            HALVINGS: tl.constexpr):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) + tl.program_id(1).to(tl.int64) * tl.num_programs(0)
    own = (offset + tl.program_id(0) * BLOCK) // BLOCK
    number = tl.arange(0, WIDE)
    allowed = (number <= own) & (number < key_blocks)
    score = tl.load(scores + row * key_blocks + number, mask=allowed, other=0.0)
    always = (number == own) | (number == 0)
    goal = tau * tl.sum(score, 0) - tl.sum(tl.where(always, score, 0.0), 0)
    free = tl.where(allowed & (number != own) & (number != 0), score, -1.0)
    low, high = 0.0, tl.max(free, 0) * 1.0001 + 1e-30
    for _ in range(HALVINGS):
        middle = (low + high) * 0.5
        enough = tl.sum(tl.where(free >= middle, free, 0.0), 0) >= goal
        low = tl.where(enough, middle, low)
        high = tl.where(enough, high, middle)
    keep = (always | (free >= tl.where(goal > 0, low, float("inf")))) & allowed
    place = tl.cumsum(keep.to(tl.int32), 0) - 1
    tl.store(chosen + row * width + place, number, mask=keep)
    tl.store(counts + row, tl.sum(keep.to(tl.int32), 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The blocks of keys of each block of queries.

    Attributes:
        numbers: (heads, query blocks, key blocks) of int32: the first ``counts`` of a row count, in ascending order.
        counts: (heads, query blocks) of int32.
    """

    numbers: Tensor
    counts: Tensor


def choose(scores: Tensor, tau: float, queries: int, keys: int, block: int) -> Chosen:
    """`xattention.select` on the GPU: by halving for a threshold instead of sorting; ties may keep a block more.

    Raises:
        UsageError: the queries do not begin at a block's border.
    """
    heads, rows, wide = scores.shape
    _check_offset(queries, keys, block)
    numbers = torch.empty((heads, rows, wide), dtype=torch.int32, device=scores.device)
    counts = torch.empty((heads, rows), dtype=torch.int32, device=scores.device)
    _choose[(rows, heads)](
        scores, numbers, counts, tau, keys - queries, wide, wide, BLOCK=block, WIDE=triton.next_power_of_2(wide),
        HALVINGS=_HALVINGS, num_warps=4 if wide <= 2048 else 8,
    )  # fmt: skip
    return Chosen(numbers=numbers, counts=counts)


def listed_ascending(kept: Tensor) -> Chosen:
    """A mask over blocks as lists, for `prefill`."""
    numbers = torch.argsort(kept.int(), dim=-1, descending=True, stable=True).int()
    return Chosen(numbers=numbers.contiguous(), counts=kept.sum(-1).int().contiguous())


@triton.jit
def _prefill(
    query, key, value, out, numbers, counts, scale, offset, queries, keys, width, group,
    query_head, query_row, key_head, key_row, value_head, value_row, out_head, out_row,
    BLOCK: tl.constexpr, STEP: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    # Blocks with the longest lists first: the last to start are the shortest.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    row = block * BLOCK + tl.arange(0, BLOCK)
    dim = tl.arange(0, DIM)
    query += head.to(tl.int64) * query_head
    key += (head // group).to(tl.int64) * key_head
    value += (head // group).to(tl.int64) * value_head
    asked = tl.load(
        query + row[:, None].to(tl.int64) * query_row + dim[None, :], mask=row[:, None] < queries, other=0.0
    )
    listed_at = head.to(tl.int64) * tl.num_programs(0) + block
    many = tl.load(counts + listed_at)
    numbers += listed_at * width
    top = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    found = tl.zeros((BLOCK, DIM), tl.float32)
    for i in range(many - 1):
        first = tl.load(numbers + i).to(tl.int64) * BLOCK
        for part in tl.static_range(0, BLOCK, STEP):
            column = first + part + tl.arange(0, STEP)
            keys_here = tl.load(key + column[None, :] * key_row + dim[:, None])
            product = tl.dot(asked, keys_here) * scale
            higher = tl.maximum(top, tl.max(product, 1))
            weight = tl.exp2(product - higher[:, None])
            fade = tl.exp2(top - higher)
            total = total * fade + tl.sum(weight, 1)
            values_here = tl.load(value + column[:, None] * value_row + dim[None, :])
            found = tl.dot(weight.to(values_here.dtype), values_here, found * fade[:, None])
            top = higher
    # The last of the list is the block that the queries stand in: causal, and it may be short.
    first = tl.load(numbers + many - 1).to(tl.int64) * BLOCK
    for part in tl.static_range(0, BLOCK, STEP):
        column = first + part + tl.arange(0, STEP)
        keys_here = tl.load(key + column[None, :] * key_row + dim[:, None], mask=column[None, :] < keys, other=0.0)
        product = tl.dot(asked, keys_here) * scale
        product = tl.where(column[None, :] <= offset + row[:, None], product, float("-inf"))
        higher = tl.maximum(top, tl.max(product, 1))
        weight = tl.exp2(product - higher[:, None])
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(weight, 1)
        values_here = tl.load(
            value + column[:, None] * value_row + dim[None, :], mask=column[:, None] < keys, other=0.0
        )
        found = tl.dot(weight.to(values_here.dtype), values_here, found * fade[:, None])
        top = higher
    out += head.to(tl.int64) * out_head
    tl.store(
        out + row[:, None].to(tl.int64) * out_row + dim[None, :],
        (found / total[:, None]).to(out.dtype.element_ty),
        mask=row[:, None] < queries,
    )


def prefill(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    chosen: Chosen,
    *,
    block: int = 128,
    step: int = 128,
    warps: int = 8,
    stages: int = 2,
    scale: float | None = None,
) -> Tensor:
    """Attention of each block of queries over its chosen blocks of keys, (heads, queries, head dim).

    Args:
        query: (heads, queries, head dim), the last queries of the sequence; the last dimension is dense.
        key: (key-value heads, keys, head dim).
        value: Like the keys.
        chosen: The block that the queries stand in must be the last of each list.
        block: Tokens a side.
        step: Keys multiplied at once, at most.
        warps: Warps a program.
        stages: Depth of the pipeline of loads.
        scale: Factor on the products; one over the root of the head dim if None.

    Raises:
        UsageError: the queries do not begin at a block's border, or that size of blocks cannot be multiplied.
    """
    heads, queries, dim = query.shape
    keys = key.shape[1]
    check_block(block)
    _check_offset(queries, keys, block)
    out = torch.empty_like(query)
    _prefill[(chosen.counts.shape[1], heads)](
        query, key, value, out, chosen.numbers, chosen.counts,
        (dim**-0.5 if scale is None else scale) * _LOG2_E, keys - queries, queries, keys,
        chosen.numbers.shape[-1], heads // key.shape[0],
        query.stride(0), query.stride(1), key.stride(0), key.stride(1), value.stride(0), value.stride(1),
        out.stride(0), out.stride(1),
        BLOCK=block, STEP=min(step, block), DIM=dim, num_warps=warps, num_stages=stages,
    )  # fmt: skip
    return out


@triton.jit
def _page_scores(
    query, low, high, scores, pages, group,
    query_head, bound_head, bound_page, GROUP: tl.constexpr, WIDE: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    shared = tl.program_id(1)
    page = tl.program_id(0) * WIDE + tl.arange(0, WIDE)
    dim = tl.arange(0, DIM)
    at = shared.to(tl.int64) * bound_head + page[:, None].to(tl.int64) * bound_page + dim[None, :]
    least = tl.load(low + at, mask=page[:, None] < pages, other=0.0).to(tl.float32)
    most = tl.load(high + at, mask=page[:, None] < pages, other=0.0).to(tl.float32)
    best = tl.full((WIDE,), float("-inf"), tl.float32)
    for i in tl.static_range(0, GROUP):
        asked = tl.load(query + (shared * group + i) * query_head + dim).to(tl.float32)
        best = tl.maximum(best, tl.sum(tl.maximum(asked[None, :] * least, asked[None, :] * most), 1))
    best = tl.where(page == pages - 1, float("inf"), best)
    tl.store(scores + shared * pages + page, best, mask=page < pages)


def shared_page_scores(query: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`quest.page_scores`, the best of each group of heads, in one pass; infinite for the last page.

    Args:
        query: (heads, head dim), dense.
        low: (key-value heads, pages, head dim), smallest keys of the pages, dense like ``high``.
        high: Largest keys.

    Returns:
        (key-value heads, pages) in 32-bit floats.
    """
    kv_heads, pages, dim = low.shape
    group = query.shape[0] // kv_heads
    scores = torch.empty((kv_heads, pages), dtype=torch.float32, device=query.device)
    wide = 64
    _page_scores[(triton.cdiv(pages, wide), kv_heads)](
        query, low, high, scores, pages, group, query.stride(0), low.stride(0), low.stride(1),
        GROUP=group, WIDE=wide, DIM=dim, num_warps=4,
    )  # fmt: skip
    return scores


@triton.jit
def _decode_part(
    query, key, value, pages, part, tops, totals, scale, many, keys, group, splits,
    key_head, key_row, PAGE: tl.constexpr, GROUP: tl.constexpr, DIM: tl.constexpr, AT_ONCE: tl.constexpr,
):  # fmt: skip
    split, shared = tl.program_id(0), tl.program_id(1)
    dim = tl.arange(0, DIM)
    # Tensor cores want sixteen rows; those beyond the group repeat its last head and are not stored.
    member = tl.arange(0, 16)
    head = shared * group + tl.minimum(member, group - 1)
    asked = tl.load(query + head[:, None] * DIM + dim[None, :])
    key += shared.to(tl.int64) * key_head
    value += shared.to(tl.int64) * key_head
    top = tl.full((16,), float("-inf"), tl.float32)
    total = tl.zeros((16,), tl.float32)
    found = tl.zeros((16, DIM), tl.float32)
    each = tl.cdiv(many, splits)
    inside = tl.arange(0, AT_ONCE * PAGE)
    for first in range(split * each, tl.minimum(split * each + each, many), AT_ONCE):
        place = first + inside // PAGE
        listed_here = (place < many) & (place < split * each + each)
        page = tl.load(pages + shared * many + place, mask=listed_here, other=0)
        column = page * PAGE + inside % PAGE
        seen = listed_here & (column < keys)
        at = column[:, None].to(tl.int64) * key_row + dim[None, :]
        keys_here = tl.load(key + at, mask=seen[:, None], other=0.0)
        product = tl.where(seen[None, :], tl.dot(asked, tl.trans(keys_here)) * scale, float("-inf"))
        higher = tl.maximum(top, tl.max(product, 1))
        weight = tl.exp2(product - higher[:, None])
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(weight, 1)
        values_here = tl.load(value + at, mask=seen[:, None], other=0.0)
        found = tl.dot(weight.to(values_here.dtype), values_here, found * fade[:, None])
        top = higher
    place = (shared * group + member) * splits + split
    tl.store(part + place[:, None] * DIM + dim[None, :], found, mask=member[:, None] < GROUP)
    tl.store(tops + place, top, mask=member < GROUP)
    tl.store(totals + place, total, mask=member < GROUP)


@triton.jit
def _decode_merge(part, tops, totals, out, SPLITS: tl.constexpr, DIM: tl.constexpr):
    head = tl.program_id(0)
    dim = tl.arange(0, DIM)
    split = tl.arange(0, SPLITS)
    top = tl.load(tops + head * SPLITS + split)
    share = tl.exp2(top - tl.max(top, 0))
    total = tl.sum(tl.load(totals + head * SPLITS + split) * share, 0)
    parts = tl.load(part + (head * SPLITS + split)[:, None] * DIM + dim[None, :])
    tl.store(out + head * DIM + dim, (tl.sum(parts * share[:, None], 0) / total).to(out.dtype.element_ty))


def decode(query: Tensor, key: Tensor, value: Tensor, pages: Tensor, page: int, splits: int = 16) -> Tensor:
    """`quest.decode`, reading the pages where they lie: (heads, head dim).

    Args:
        query: (heads, head dim), dense; at most sixteen heads share keys.
        key: (key-value heads, keys, head dim).
        value: Laid out like the keys.
        pages: (key-value heads, chosen), at least ``splits`` of them.
        page: Tokens a page.
        splits: Parts that are worked on side by side; a power of two.
    """
    heads, dim = query.shape
    kv_heads, keys, _ = key.shape
    many = pages.shape[1]
    part = torch.empty((heads, splits, dim), dtype=torch.float32, device=query.device)
    tops, totals = torch.empty_like(part[..., 0]), torch.empty_like(part[..., 0])
    group = heads // kv_heads
    _decode_part[(splits, kv_heads)](
        query, key, value, pages, part, tops, totals, dim**-0.5 * _LOG2_E, many, keys, group, splits,
        key.stride(0), key.stride(1), PAGE=page, GROUP=group, DIM=dim, AT_ONCE=max(1, 64 // page), num_warps=4,
    )  # fmt: skip
    out = torch.empty_like(query)
    _decode_merge[(heads,)](part, tops, totals, out, SPLITS=splits, DIM=dim, num_warps=4)
    return out


def _check_offset(queries: int, keys: int, block: int) -> None:
    if (keys - queries) % block:
        raise UsageError(
            f"{queries} queries at the end of {keys} tokens do not begin at a border of blocks of {block}",
            hint="Read the prompt in pieces of whole blocks.",
        )
