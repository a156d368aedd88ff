"""Train the reader: ``python -m coa.testing.reader.train --out DIR``. Stopped, the same command goes on.

Writes ``state.pt`` every minute, ``log.jsonl`` (step, tokens, loss, share of answers that are right, by their kind),
and at the end ``training.svg`` and ``model.safetensors`` with its configuration and tokenizer.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from coa.testing.reader import matching, plot, schedule
from coa.testing.reader.batches import Batch, Form, Makers
from coa.testing.reader.checkpoint import save
from coa.testing.reader.model import Network, Shape, described
from coa.testing.reader.muon import Muon
from coa.testing.reader.tokenizer import EOS, build

LOG_EVERY = 25
STARTS = ("look-back", "matching", "plain")
SAVE_SECONDS = 60.0
DECAY = 0.01
_SIZES = ("width", "layers", "inner", "heads", "kv_heads", "head_dim", "theta")


def main(argv: list[str] | None = None) -> int:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Shape(vocabulary=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=7000, help="how many; a run can be repeated exactly")
    parser.add_argument("--minutes", type=float, help="instead of --steps: as many as fit into this time")
    parser.add_argument("--tokens", type=int, default=4096, help="in a batch; 65536 suits a GPU")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, default=1, help="that make data")
    parser.add_argument("--rows", choices=schedule.STAGES, default="long", help="how long; short suits a processor")
    parser.add_argument("--compile", action="store_true", help="compile the layers: pays on a GPU")
    parser.add_argument("--width", type=int, default=usual.width)
    parser.add_argument("--layers", type=int, default=usual.layers)
    parser.add_argument("--inner", type=int, default=usual.inner)
    parser.add_argument("--heads", type=int, default=usual.heads)
    parser.add_argument("--kv-heads", type=int, default=usual.kv_heads)
    parser.add_argument("--head-dim", type=int, default=usual.head_dim)
    parser.add_argument("--theta", type=float, default=usual.theta)
    parser.add_argument(
        "--start", choices=STARTS, default="look-back", help="heads that look back, that match too, or none"
    )
    parser.add_argument("--hold", type=float, default=1.0, help="share of the training in which matching heads stay")
    parser.add_argument("--adam", action="store_true", help="ablation: AdamW for everything")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    Trainer(options).run()
    return 0


class Trainer:
    """One training run and the files that it keeps."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.step = self.tokens = 0
        self._spent, self._began = 0.0, time.monotonic()
        self._kept = self._read_state()
        self.makers = Makers(options.seed, self._form, self.step, options.processes)
        self.network = self._network().to(options.device)
        decay = 0.0 if options.start == "matching" else DECAY  # it would shrink what is held
        self.optimisers = optimisers(self.network, options.lr, decay, adam=options.adam)
        self._restore()
        if options.compile:
            for layer in self.network.layers:
                layer.compile(dynamic=True)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of training, those before an interruption included."""
        return self._spent + time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """From 0 to 1 by steps, or by the clock."""
        return self._progress(self.step)

    def _progress(self, step: int) -> float:
        minutes = self.options.minutes
        return step / self.options.steps if minutes is None else self.seconds / (60 * minutes)

    def _form(self, step: int) -> Form:
        return schedule.form(self.options.seed, step, self._progress(step), self.options.tokens, self.options.rows)

    def _network(self) -> Network:
        torch.manual_seed(self.options.seed)
        torch.set_float32_matmul_precision("high")
        sizes = {name: getattr(self.options, name) for name in _SIZES}
        network = Network(Shape(vocabulary=build().get_vocab_size(), **sizes))
        if self.options.start == "plain":
            for linear in (network.layers[0].q, network.layers[0].k):
                torch.nn.init.zeros_(linear.bias)  # pyright: ignore[reportArgumentType]
        elif self.options.start == "matching":
            matching.begin(network)
        return network

    @property
    def _state(self) -> Path:
        return self.options.out / "state.pt"

    def _read_state(self) -> dict[str, Any] | None:
        if not self._state.exists():
            return None
        kept: dict[str, Any] = torch.load(self._state, map_location="cpu", weights_only=True)
        self.step, self.tokens, self._spent = kept["step"], kept["tokens"], kept["seconds"]
        return kept

    def _restore(self) -> None:
        if self._kept is None:
            return
        self.network.load_state_dict(self._kept["network"])
        for optimiser, state in zip(self.optimisers, self._kept["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self._kept = None

    def keep(self) -> None:
        """Write everything that going on needs; the file is replaced whole or not at all."""
        part = self._state.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "step": self.step,
                "tokens": self.tokens,
                "seconds": self.seconds,
                "seed": self.options.seed,
                "shape": described(self.network.shape),
            },
            part,
        )
        part.replace(self._state)

    def run(self) -> None:
        """Take all steps that are left, then save the reader."""
        kept = time.monotonic()
        self.keep()
        losses: list[torch.Tensor] = []
        with self.makers:
            while self.progress < 1:
                batch = self.makers.next()
                loss, hits, targets = self._learn(batch)
                losses.append(loss)
                self.step += 1
                self.tokens += batch.ids.size
                if self.step % LOG_EVERY == 0:
                    mean = float(torch.stack(losses).mean())
                    losses.clear()
                    if not math.isfinite(mean):
                        self._go_back()
                        continue
                    self._log(mean, batch, hits, targets)
                if time.monotonic() - kept > SAVE_SECONDS:
                    self.keep()
                    kept = time.monotonic()
        self.keep()
        save(self.network, self.options.out)
        plot.write(self.options.out)

    def _go_back(self) -> None:
        """After a loss that is no number: the weights of the last minute, and the next batches."""
        sys.stderr.write(f"step {self.step}: the loss is no number; going back to the weights last kept\n")
        self._kept = torch.load(self._state, map_location="cpu", weights_only=True)
        self._restore()

    def _learn(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """One step. Returns the loss, which answer tokens were foretold, and those tokens."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.options.lr * schedule.rate(self.step, self.progress)
        device = self.options.device

        def to(array: torch.Tensor) -> torch.Tensor:
            return array.pin_memory().to(device, non_blocking=True) if device == "cuda" else array

        ids, positions, before, targets, weights = (
            to(torch.from_numpy(array))
            for array in (batch.ids, batch.positions, batch.before, batch.targets, batch.weights)
        )
        with torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext():
            hidden = self.network(ids, positions, torch.bfloat16 if device == "cuda" else torch.float32)
        logits = self.network.logits(hidden.flatten(0, 1).index_select(0, before).float())
        loss = (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()
        loss.backward()
        if self.options.start == "matching" and self.progress < self.options.hold:
            matching.hold(self.network)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss.detach(), logits.argmax(-1) == targets, targets

    def _log(self, loss: float, batch: Batch, hits: torch.Tensor, targets: torch.Tensor) -> None:
        right = whole_answers(hits, targets)
        asked, good = Counter(batch.kinds), Counter(kind for kind, is_ in zip(batch.kinds, right, strict=True) if is_)
        row = {
            "seed": self.options.seed,
            "step": self.step,
            "progress": round(self.progress, 4),
            "tokens": self.tokens,
            "seconds": round(self.seconds, 1),
            "length": batch.form.tokens,
            "loss": round(loss, 4),
            "right": round(sum(right) / max(1, len(right)), 4),
            "kinds": {kind: [good[kind], asked[kind]] for kind in sorted(asked)},
        }
        with (self.options.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(row) + "\n")
        sys.stderr.write(json.dumps({key: row[key] for key in row if key != "kinds"}) + "\n")


def optimisers(
    network: Network, rate: float, decay: float = DECAY, *, adam: bool = False
) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for matrices, AdamW for the table of pieces, norms and biases."""
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2 and "pieces" not in name and not adam]
    others = [p for name, p in network.named_parameters() if p.ndim != 2 or "pieces" in name or adam]
    on_gpu = others[0].is_cuda
    adamw = torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0, fused=on_gpu)
    return [adamw, Muon(matrices, lr=rate, weight_decay=decay)] if matrices else [adamw]


def whole_answers(hits: torch.Tensor, targets: torch.Tensor) -> list[bool]:
    """Of each answer, whether it is right to the last token: answers follow each other, each ended by ``</s>``."""
    return list(_answers(hits.tolist(), (targets == EOS).tolist()))


def _answers(hits: list[bool], ends: list[bool]) -> Iterator[bool]:
    so_far = True
    for hit, end in zip(hits, ends, strict=True):
        so_far = so_far and hit
        if end:
            yield so_far
            so_far = True


if __name__ == "__main__":
    sys.exit(main())
