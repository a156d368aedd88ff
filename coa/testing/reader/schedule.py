"""How training goes on: which lengths, how far positions jump and how fast to learn, from progress between 0 and 1."""

from __future__ import annotations

import random
from dataclasses import dataclass

from coa.testing.reader.batches import Form


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training.

    Attributes:
        until: Progress at which it ends.
        reach: Positions go up to here.
        lengths: Tokens of a row, and the share of the batches.
    """

    until: float
    reach: int
    lengths: dict[int, float]


LONG = (
    Stage(0.04, 128, {128: 1.0}),
    Stage(0.12, 1024, {128: 0.25, 256: 0.75}),
    Stage(0.28, 4096, {256: 0.35, 512: 0.65}),
    Stage(0.55, 16384, {256: 0.15, 512: 0.3, 1024: 0.55}),
    Stage(0.80, 32768, {256: 0.15, 512: 0.2, 1024: 0.35, 2048: 0.3}),
    Stage(1.00, 32768, {256: 0.15, 512: 0.15, 1024: 0.3, 2048: 0.27, 4096: 0.13}),
)
SHORT = (
    Stage(0.05, 128, {128: 1.0}),
    Stage(0.20, 1024, {128: 0.3, 256: 0.7}),
    Stage(0.50, 8192, {256: 0.5, 512: 0.5}),
    Stage(1.00, 32768, {256: 0.3, 512: 0.4, 1024: 0.3}),
)
STAGES = {"long": LONG, "short": SHORT}
"""``long`` is for a GPU; ``short`` for a processor, on which attention over long rows costs more than all the rest."""
WARM_UP = 60
FALL_FROM = 0.45
LOWEST = 0.02


def form(seed: int, step: int, progress: float, tokens: int, rows: str = "long") -> Form:
    """The form of the batch of a step: about ``tokens`` tokens in all, in rows as one of `STAGES` says."""
    stages = STAGES[rows]
    stage = next((stage for stage in stages if progress < stage.until), stages[-1])
    rng = random.Random(f"{seed}/{step}/form")
    length = rng.choices(list(stage.lengths), list(stage.lengths.values()))[0]
    return Form(length, max(1, tokens // length), stage.reach)


def rate(step: int, progress: float) -> float:
    """What the learning rate is multiplied with: it warms up, stays, and falls in a straight line."""
    fall = (progress - FALL_FROM) / (1 - FALL_FROM)
    return min(1.0, (step + 1) / WARM_UP) * min(1.0, max(LOWEST, 1 - fall))
