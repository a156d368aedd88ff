"""Train the reader: ``python -m coa.testing.reader.train --out DIR``. Stopped, the same command goes on.

Writes ``state.pt`` every few minutes, ``log.jsonl`` (step, tokens, loss, share of answers that are right) and at the
end ``model.safetensors`` with its configuration and tokenizer.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from coa.testing.reader.batches import Batch, Batches, Stage
from coa.testing.reader.checkpoint import save
from coa.testing.reader.model import Network, Shape, described
from coa.testing.reader.tokenizer import EOS, build

STAGES = (
    Stage(steps=1500, tokens=128, batch=24, reach=128),
    Stage(steps=1500, tokens=256, batch=14, reach=1024),
    Stage(steps=1500, tokens=512, batch=8, reach=4096),
    Stage(steps=2000, tokens=1024, batch=4, reach=16384),
    Stage(steps=800, tokens=2048, batch=2, reach=16384),
)
"""What fits into about an hour and a half on one core; ``--scale`` stretches every stage."""

WARM_UP = 60
FALL_FROM = 0.55
LOWEST = 0.05
LOG_EVERY = 25
SAVE_SECONDS = 120.0


def main(argv: list[str] | None = None) -> int:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="times the steps of each stage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that make data")
    parser.add_argument("--plain-start", action="store_true", help="ablation: no heads that look back from the start")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    stages = tuple(replace(stage, steps=max(1, int(stage.steps * options.scale))) for stage in STAGES)
    Trainer(options, stages).run()
    return 0


class Trainer:
    """One training run and the files that it keeps."""

    def __init__(self, options: argparse.Namespace, stages: tuple[Stage, ...]) -> None:
        self.options, self.stages = options, stages
        self.total = sum(stage.steps for stage in stages)
        torch.manual_seed(options.seed)
        self.network = Network(Shape(vocabulary=build().get_vocab_size()))
        if options.plain_start:
            for linear in (self.network.layers[0].q, self.network.layers[0].k):
                torch.nn.init.zeros_(linear.bias)  # pyright: ignore[reportArgumentType]
        self.network.to(options.device)
        matrices = [p for name, p in self.network.named_parameters() if p.ndim == 2 and "pieces" not in name]
        others = [p for name, p in self.network.named_parameters() if p.ndim != 2 or "pieces" in name]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, lr=options.lr, momentum=0.95, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=options.lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.step = self.tokens = 0
        self._resume()

    @property
    def _state(self) -> Path:
        return self.options.out / "state.pt"

    def _resume(self) -> None:
        if not self._state.exists():
            return
        kept = torch.load(self._state, map_location=self.options.device, weights_only=True)
        self.network.load_state_dict(kept["network"])
        for optimiser, state in zip(self.optimisers, kept["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.step, self.tokens = kept["step"], kept["tokens"]

    def keep(self) -> None:
        """Write everything that going on needs; the file is replaced whole or not at all."""
        part = self._state.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "step": self.step,
                "tokens": self.tokens,
                "seed": self.options.seed,
                "shape": described(self.network.shape),
            },
            part,
        )
        part.replace(self._state)

    def run(self) -> None:
        """Take all steps that are left, then save the reader."""
        batches = Batches(self.stages, self.options.seed, self.step)
        loader = DataLoader(batches, batch_size=None, num_workers=self.options.workers)
        kept, seen, right, asked = time.monotonic(), [0.0], 0, 0
        for batch in loader:
            loss, good, all_ = self._learn(batch)
            seen.append(loss)
            right, asked = right + good, asked + all_
            self.step += 1
            self.tokens += batch.ids.numel()
            if self.step % LOG_EVERY == 0:
                self._log(sum(seen[1:]) / max(1, len(seen) - 1), right / max(1, asked))
                seen, right, asked = [0.0], 0, 0
            if time.monotonic() - kept > SAVE_SECONDS:
                self.keep()
                kept = time.monotonic()
        self.keep()
        save(self.network, self.options.out)

    def _rate(self) -> float:
        fall = (self.step / self.total - FALL_FROM) / (1 - FALL_FROM)
        return min(1.0, (self.step + 1) / WARM_UP) * min(1.0, max(LOWEST, 1 - fall))

    def _learn(self, batch: Batch) -> tuple[float, int, int]:
        """One step. Returns the loss, and how many of the answers were right in every token."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.options.lr * self._rate()
        device = self.options.device
        weights = batch.weights.to(device)
        answers = weights > 0
        hidden = self.network(batch.ids.to(device), batch.positions.to(device))[answers]
        logits, targets, weights = self.network.logits(hidden), batch.targets.to(device)[answers], weights[answers]
        loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return float(loss.detach()), *whole_answers(logits.argmax(-1) == targets, targets)

    def _log(self, loss: float, right: float) -> None:
        row = {
            "step": self.step,
            "of": self.total,
            "tokens": self.tokens,
            "loss": round(loss, 4),
            "right": round(right, 4),
        }
        line = json.dumps({**row, "seconds": round(time.process_time(), 1)})
        with (self.options.out / "log.jsonl").open("a") as log:
            log.write(line + "\n")
        sys.stderr.write(line + "\n")


def whole_answers(hits: torch.Tensor, targets: torch.Tensor) -> tuple[int, int]:
    """How many answers are right to the last token, of how many: answers follow each other, each ended by ``</s>``."""
    right = total = start = 0
    for end in (targets == EOS).nonzero().flatten().tolist():
        right += bool(hits[start : end + 1].all())
        total, start = total + 1, end + 1
    return right, total


if __name__ == "__main__":
    sys.exit(main())
