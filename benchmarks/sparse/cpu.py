"""What skipping blocks saves on a processor: compiled FlexAttention under XAttention's blocks, its dense form, SDPA.

python benchmarks/sparse/cpu.py [--tokens 4096,8192]

One thread; the three are timed in turn and the medians compared. Read the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask

sys.path.insert(0, str(Path(__file__).parent))
from inputs import structured

from coa.serving.sparse import blocks, flex, xattention

HEADS, KV_HEADS, DIM, BLOCK = 4, 1, 64, 128


def in_turn(works: dict[str, Callable[[], object]], times: int = 7) -> dict[str, float]:
    """Milliseconds of each, its median; one call each to warm up."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(times + 1):
        for name, work in works.items():
            start = time.perf_counter()
            work()
            if turn:
                taken[name].append((time.perf_counter() - start) * 1e3)
    return {name: median(each) for name, each in taken.items()}


def compared(given: tuple[Tensor, Tensor, Tensor], tau: float, whole: BlockMask, attend: Any):
    """Milliseconds of each, and the density of the sparse one."""
    query, key, value = given
    tokens = query.shape[1]
    kept = xattention.kept_blocks(query, key, tau=tau, block=BLOCK)
    some = flex.block_mask(kept, tokens, tokens, BLOCK)
    batch = {"query": query[None], "key": key[None], "value": value[None]}
    took = in_turn(
        {
            "sparse": lambda: flex.attention(query, key, value, some, attend),
            "dense": lambda: flex.attention(query, key, value, whole, attend),
            "sdpa": lambda: F.scaled_dot_product_attention(**batch, is_causal=True, enable_gqa=True),
            "estimate": lambda: xattention.kept_blocks(query, key, tau=tau, block=BLOCK),
        }
    )
    return took, blocks.density(kept, tokens, tokens, BLOCK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", default="4096,8192")
    torch.set_num_threads(1)
    print("| tokens | tau | density | flex dense : flex sparse | SDPA : flex sparse | SDPA : estimate + flex sparse |")
    print("|---|---|---|---|---|---|")
    for tokens in map(int, parser.parse_args().tokens.split(",")):
        query, key, value = structured(HEADS, KV_HEADS, tokens, DIM, seed=1, device="cpu", dtype=torch.float32)
        attend = flex.compiled()
        every = blocks.causal(tokens, tokens, BLOCK).expand(HEADS, -1, -1).clone()
        whole = flex.block_mask(every, tokens, tokens, BLOCK)
        for tau in (0.9, 0.95):
            took, density = compared((query, key, value), tau, whole, attend)
            sparse, both = took["sparse"], took["sparse"] + took["estimate"]
            print(
                f"| {tokens:,} | {tau} | {density:.3f} "
                f"| {took['dense'] / sparse:.1f} | {took['sdpa'] / sparse:.1f} | {took['sdpa'] / both:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    with torch.inference_mode():
        main()
