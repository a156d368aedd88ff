"""How much of the true attention each method keeps, and at what density, on structured inputs. Plain PyTorch, any CPU.

python benchmarks/sparse/recall.py [--tokens 8192]

Two key-value heads serve four heads each: one of each kind of `inputs`, or, in the last rows, four that look at nothing
but sinks and neighbours beside four that do not. Recall is that of all rows of sixteen blocks of queries, spread
over the second half of the text.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))
from inputs import structured

from coa.serving.sparse import blocks, quest, reference, streaming, vertical, xattention

HEADS, KV_HEADS, DIM, BLOCK = 8, 2, 128, 128


def measured(query: Tensor, key: Tensor, kept: Tensor) -> tuple[float, Tensor]:
    """Density over all blocks; recall of each head over a sample of them."""
    tokens = query.shape[1]
    found = []
    for row in torch.linspace(kept.shape[1] // 2, kept.shape[1] - 1, 16).long().tolist():
        end = (row + 1) * BLOCK
        mask = blocks.expand(kept[:, row : row + 1, : row + 1], BLOCK, end, BLOCK)
        found.append(reference.recall(query[:, end - BLOCK : end], key[:, :end], mask).mean(-1))
    return blocks.density(kept, tokens, tokens, BLOCK), torch.stack(found).mean(0)


def near(tokens: int, sink: int, recent: int) -> Tensor:
    return streaming.kept_blocks(tokens, tokens, sink=sink, recent=recent, block=BLOCK).expand(HEADS, -1, -1)


def decoding(query: Tensor, key: Tensor, budget: int, page: int = 16) -> tuple[float, Tensor]:
    """Pages chosen for the last 64 queries, one at a time, as in decode."""
    found = []
    for end in range(query.shape[1] - 63, query.shape[1] + 1):
        low, high = quest.page_bounds(key[:, :end], page)
        pages = quest.chosen_pages(quest.page_scores(query[:, end - 1], low, high), KV_HEADS, budget, page)
        mask = quest.token_mask(pages, HEADS, end, page)
        found.append(reference.recall(query[:, end - 1 : end], key[:, :end], mask).mean(-1))
    return budget / query.shape[1], torch.stack(found).mean(0)


def row(name: str, figures: tuple[float, Tensor]) -> None:
    density, heads = figures
    print(f"| {name} | {density:.3f} | {heads.mean():.3f} | {heads.min():.3f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8192)
    tokens = parser.parse_args().tokens
    given = {"seed": 1, "device": "cpu", "dtype": torch.float32}
    query, key, _ = structured(HEADS, KV_HEADS, tokens, DIM, **given)
    print(f"{tokens} tokens\n| method | density | recall, mean of heads | worst head |\n|---|---|---|---|")
    for tau in (0.8, 0.9, 0.95):
        kept = xattention.kept_blocks(query, key, tau=tau, block=BLOCK)
        row(f"XAttention, tau {tau}", measured(query, key, kept))
    for gamma in (0.9, 0.95):
        kept = vertical.kept_blocks(query, key, gamma=gamma, block=BLOCK)
        row(f"vertical and slash, gamma {gamma}", measured(query, key, kept))
    for sink, recent in ((64, 256), (128, 1024)):
        row(f"streaming, {sink} + {recent}", measured(query, key, near(tokens, sink, recent)))
    for budget in (512, 1024, 2048):
        row(f"Quest in decode, budget {budget}", decoding(query, key, budget))
    streams = torch.tensor([True] * 4 + [False] * 4)[:, None, None]
    for name, kinds in (
        ("every KV head serves all kinds", ((0, 1, 2, 3),)),
        ("one KV head looks near", ((0,), (1, 2, 3))),
    ):
        query, key, _ = structured(HEADS, KV_HEADS, tokens, DIM, **given, kinds=kinds)
        kept = torch.where(streams, near(tokens, 64, 256), xattention.kept_blocks(query, key, tau=0.9, block=BLOCK))
        row(f"LServe: XAttention, tau 0.9, half streaming; {name}", measured(query, key, kept))


if __name__ == "__main__":
    with torch.inference_mode():
        main()
