"""Run by an interpreter that has Triton: our kernels on a processor, each against plain PyTorch.

python interpreted.py OUT
"""

# pyright: basic, reportMissingImports=false

import json
import os
import sys
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"

import torch

from coa.errors import UsageError
from coa.serving.sparse import blocks, kernels, quest, reference, xattention

SHAPES = {
    "whole blocks": {"queries": 128, "keys": 128},
    "a short last block": {"queries": 70, "keys": 70},
    "the end of a longer one": {"queries": 70, "keys": 134},
    "heads of 128, one for all": {"queries": 70, "keys": 134, "kv_heads": 1, "dim": 128},
    "heads of 64, each its own": {"queries": 70, "keys": 134, "kv_heads": 4, "dim": 64},
    "blocks of 64": {"queries": 150, "keys": 278, "block": 64},
    "16-bit floats": {"queries": 70, "keys": 134, "dtype": torch.float16},
}


def drawn(queries, keys, kv_heads=2, dim=32, dtype=torch.float32, heads=4):
    chance = torch.Generator().manual_seed(queries + keys)
    shapes = (heads, queries), (kv_heads, keys), (kv_heads, keys)
    return [(torch.randn((*shape, dim), generator=chance).cumsum(1) / 4).to(dtype) for shape in shapes]


def apart(one, other):
    return float((one.float() - other.float()).abs().max())


def prefill(block=32, **shape):
    """Over everything and over a choice: how far from the dense reference, and how many blocks were chosen."""
    query, key, value = drawn(**shape)
    queries, keys = query.shape[1], key.shape[1]
    allowed = blocks.causal(queries, keys, block).expand(len(query), -1, -1)
    some = xattention.kept_blocks(query, key, tau=0.5, block=block, stride=8)
    found = {}
    for name, kept in (("all", allowed), ("some", some)):
        out = kernels.prefill(query, key, value, kernels.listed_ascending(kept), block=block, scale=0.2)
        true = reference.attention(query, key, value, blocks.expand(kept, queries, keys, block), 0.2)
        found[name] = [apart(out, true), blocks.density(kept, queries, keys, block)]
    return found


def estimates(queries, keys, block, stride):
    """Sums of softmaxes over blocks, in slices and in one, and the blocks chosen by them."""
    query, key, _ = drawn(queries, keys)
    plain, own = xattention.block_scores(query, key, block=block, stride=stride), xattention._sum
    xattention._sum = xattention._sum_on_gpu
    try:
        whole = xattention.block_scores(query, key, block=block, stride=stride)
        sliced = xattention.block_scores(query, key, block=block, stride=stride, entries=600)
    finally:
        xattention._sum = own
    kept = xattention.select(plain, 0.6, queries, keys, block)
    chosen, wanted = kernels.choose(plain, 0.6, queries, keys, block), kernels.listed_ascending(kept)
    same = all(
        chosen.numbers[head, row, : chosen.counts[head, row]].tolist()
        == wanted.numbers[head, row, : wanted.counts[head, row]].tolist()
        for head in range(kept.shape[0])
        for row in range(kept.shape[1])
    )
    return [apart(whole, plain), apart(sliced, plain), same, float(plain.max())]


def pages(kv_heads):
    """Scores of pages, and attention of one query over the best."""
    query, key, value = drawn(1, 203, kv_heads)
    low, high = quest.page_bounds(key, 16)
    scores = quest.page_scores(query[:, 0], low, high)
    shared = scores.view(kv_heads, -1, scores.shape[1]).amax(1)
    found = kernels.shared_page_scores(query[:, 0].contiguous(), low, high)
    best = quest.chosen_pages(scores, kv_heads, 96, 16)
    out = kernels.decode(query[:, 0].contiguous(), key, value, best, 16, splits=4)
    true = reference.attention(query, key, value, quest.token_mask(best, 4, 203, 16))[:, 0]
    return [apart(found[:, :-1], shared[:, :-1]), bool(found[:, -1].isinf().all()), apart(out, true)]


def refused(block, queries=64, keys=64):
    query, key, value = drawn(queries, keys)
    kept = blocks.causal(queries, keys, block).expand(4, -1, -1)
    try:
        kernels.prefill(query, key, value, kernels.listed_ascending(kept), block=block)
    except UsageError as error:
        return error.message


def main():
    found = {
        "prefill": {name: prefill(**shape) for name, shape in SHAPES.items()},
        "estimates": [estimates(256, 256, 32, 8), estimates(70, 134, 32, 4), estimates(150, 278, 64, 16)],
        "pages": [pages(1), pages(2), pages(4)],
        "refused": [refused(96), refused(32, 60, 100)],
    }
    Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
