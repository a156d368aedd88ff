"""Which key-value heads may stream: each is made to, alone, and what that costs is its score.

``python -m coa.serving.sparse.profiler FOLDER`` writes the table of a model beside its weights, by passkeys; with
``--thresholds`` the one of `coa.serving.sparse.thresholds`.

In place of DuoAttention's optimisation (arXiv 2410.10819, section 2.3), which trains a gate for each head on a GPU: the
same question, whether answers that need far context survive, asked directly of each head.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coa.serving.sparse.config import SparseConfig
from coa.serving.sparse.heads import write_rows
from coa.serving.sparse.hf import sparse
from coa.serving.sparse.policy import Policy


def head_scores(model: Any, loss: Callable[[], float], config: SparseConfig) -> Tensor:
    """Scores from 0 (streams for free) to 1 (costs most), (layers, key-value heads).

    Args:
        model: A model of transformers.
        loss: Runs the model over texts whose answers need far context, and says how bad the answers are, in nats.
        config: ``sink`` and ``recent`` of the heads that stream.
    """
    layers, heads = model.config.num_hidden_layers, model.config.num_key_value_heads
    streaming = replace(config, method="streaming", heads_file=None)
    nobody = torch.zeros((layers, heads), dtype=torch.bool)
    with sparse(model, Policy(config=streaming, streams=nobody)):
        base = loss()
    costs = torch.zeros((layers, heads))
    for layer in range(layers):
        for head in range(heads):
            alone = nobody.clone()
            alone[layer, head] = True
            with sparse(model, Policy(config=streaming, streams=alone)):
                costs[layer, head] = max(0.0, loss() - base)
    return costs / costs.max().clamp(min=1e-9)


def main(argv: list[str] | None = None) -> int:
    """Profile a model of transformers."""
    from coa.serving.sparse.passkeys import loss_over, passkeys
    from coa.serving.sparse.thresholds import head_thresholds
    from coa.serving.vllm.profiles import HEADS_FILE, THRESHOLDS_FILE

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, default=4000, help="length of a prompt")
    parser.add_argument("--n", type=int, help="prompts; default: 8, for thresholds 32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--thresholds", action="store_true", help="XAttention's threshold of each query head instead")
    parser.add_argument("--block", type=int, default=SparseConfig.block, help="for thresholds")
    parser.add_argument("--stride", type=int, default=SparseConfig.stride, help="for thresholds")
    parser.add_argument("--out", type=Path, help=f"default: {HEADS_FILE} or {THRESHOLDS_FILE} in the folder")
    options = parser.parse_args(argv)
    transformers: Any = import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(options.folder).to(options.device).eval()
    # What eight prompts leave alone, a ninth may need: one threshold too low is worse than one head too many in full.
    many = options.n or (32 if options.thresholds else 8)
    loss = loss_over(model, passkeys(tokenizer, n=many, tokens=options.tokens))
    if options.thresholds:
        config = SparseConfig(block=options.block, stride=options.stride, page=1)
        out = options.out or options.folder / THRESHOLDS_FILE
        write_rows(out, head_thresholds(model, loss, config).tolist(), f"block={config.block} stride={config.stride}")
    else:
        out = options.out or options.folder / HEADS_FILE
        write_rows(out, head_scores(model, loss, SparseConfig()).tolist())
    sys.stdout.write(
        f"{out}\nPasskeys cost {loss():.3f} nats each, read in full: a model that cannot find them says nothing.\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
