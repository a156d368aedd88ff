"""Right answers of the trained reader against the share of keys it looks at, under each method.

python benchmarks/sparse/reader.py [--n 30] [--tokens 700]

Six facts in filler; an answer counts when it is foretold to the last token (teacher forced), so that the prompt and the
answer are read in one piece, as in prefill. Quest, which is for decode, is asked to generate. Heads are ranked by our
own profiler on other questions. Blocks are small because texts are short.
"""

# pyright: basic

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coa.serving.sparse import reference
from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.heads import write_rows
from coa.serving.sparse.hf import sparse
from coa.serving.sparse.policy import Policy
from coa.serving.sparse.profiler import head_scores
from coa.serving.sparse.thresholds import head_thresholds
from coa.testing.reader import load
from coa.testing.reader.documents import PLAIN
from coa.testing.reader.heads import foretold
from coa.testing.reader.measures import questions
from coa.testing.reader.reading import Reading
from coa.testing.reader.tasks import plain

SINK, RECENT, RANKED_ON, CALIBRATED_ON = 4, 128, 6, 20
SMALL: dict[str, Any] = {"block": 32, "stride": 4, "sink": SINK, "recent": RECENT, "dense_layers": 0}


@dataclass
class Count:
    kept: int = 0
    allowed: int = 0

    @property
    def density(self) -> float:
        return self.kept / self.allowed if self.allowed else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted(Policy):
    """A policy that counts the pairs of query and key that it lets see each other."""

    count: Count = field(default_factory=Count)
    only_decode: bool = False

    def mask(self, query: Tensor, key: Tensor, layer: int) -> Tensor | None:
        found = Policy.mask(self, query, key, layer)
        if not self.only_decode or query.shape[1] == 1:
            whole = reference.causal_tokens(query.shape[1], key.shape[1]).expand(query.shape[0], -1, -1)
            seen = whole if found is None else found.expand_as(whole)
            self.count.kept += int(seen.sum())
            self.count.allowed += int(whole.sum())
        return found


def counted(reading: Reading, config: SparseConfig, *, only_decode: bool = False) -> Counted:
    shape = reading.model.config
    bound = Policy.of(config, shape.num_hidden_layers, shape.num_attention_heads, shape.num_key_value_heads)
    return Counted(config=bound.config, streams=bound.streams, taus=bound.taus, only_decode=only_decode)


def generated(reading: Reading, pairs: list[tuple[str, str]]) -> int:
    """Right answers, one prompt at a time."""
    return sum(reading.answers([prompt], 24)[0] == answer for prompt, answer in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=700)
    options = parser.parse_args()
    torch.manual_seed(0)
    reading = Reading(*load())
    asked = questions(options.n + CALIBRATED_ON, tokens=options.tokens, facts=6, mix=PLAIN)
    pairs = [(plain(str(text), ask.question), ask.answer) for text, ask in asked]
    others, pairs = pairs[:CALIBRATED_ON], pairs[CALIBRATED_ON:]
    heads = Path(tempfile.mkdtemp()) / "full_attention_heads.tsv"

    def lost(on: int) -> float:
        return -foretold(reading, others[:on])[1]

    write_rows(heads, head_scores(reading.model, lambda: lost(RANKED_ON), SparseConfig(**SMALL)).tolist())

    print(f"{options.n} questions over {options.tokens} tokens\n| method | density | right | of dense |")
    print("|---|---|---|---|")
    whole = foretold(reading, pairs)[0]
    print(f"| dense | 1.000 | {whole} | |", flush=True)

    def row(name: str, config: SparseConfig) -> None:
        policy = counted(reading, config)
        with sparse(reading.model, policy):
            right = foretold(reading, pairs)[0]
        print(f"| {name} | {policy.count.density:.3f} | {right} | {right / whole:.0%} |", flush=True)

    for tau in (0.99, 0.95, 0.9):
        row(f"XAttention, tau {tau}", SparseConfig(method="xattention", tau=tau, **SMALL))
    for stride, tau in ((2, 0.99), (1, 0.99), (1, 0.95), (1, 0.9)):
        config = SparseConfig(method="xattention", tau=tau, **{**SMALL, "stride": stride})
        row(f"XAttention, stride {stride}{' (true sums)' if stride == 1 else ''}, tau {tau}", config)
    taus = heads.with_name("xattention_thresholds.tsv")
    thresholds = head_thresholds(reading.model, lambda: lost(CALIBRATED_ON), SparseConfig(**SMALL))
    write_rows(taus, thresholds.tolist())
    row("XAttention, a threshold of each head", SparseConfig(method="xattention", thresholds_file=str(taus), **SMALL))
    for share in (0.25, 0.5, 0.75):
        config = SparseConfig(method="streaming", heads_file=str(heads), streaming_share=share, **SMALL)
        row(f"{share:.0%} of the KV heads streaming", config)
    row("all heads streaming", SparseConfig(method="streaming", **SMALL))
    config = SparseConfig(method="lserve", heads_file=str(heads), tau=0.95, **SMALL)
    row("LServe: XAttention, tau 0.95, half of the heads streaming", config)

    some = pairs[: max(10, options.n // 3)]
    dense = generated(reading, some)
    print(f"| {len(some)} answers generated, dense | 1.000 | {dense} | |", flush=True)
    for budget in (512, 256, 128):
        config = SparseConfig(method="quest", budget=budget, **SMALL)
        policy = counted(reading, config, only_decode=True)
        with sparse(reading.model, policy):
            right = generated(reading, some)
        told = f"| generated, Quest, budget {budget} | {policy.count.density:.3f} | {right} | {right / dense:.0%} |"
        print(told, flush=True)


if __name__ == "__main__":
    main()
