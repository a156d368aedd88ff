"""Exercises as batches of token ids. Every batch follows from the seed and its number, so training resumes exactly."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from coa.testing.reader.tasks import Exercise, draw
from coa.testing.reader.tokenizer import BOS, EOS, PAD, build
from coa.testing.reader.world import World

_JUMPY = 0.5
_JUMPS = 4
_FIT = 0.93


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training at one length.

    Attributes:
        steps: Batches.
        tokens: Length of a sequence.
        batch: Sequences in a batch.
        reach: Positions go up to here: PoSE (arXiv 2309.10400) lets short sequences jump over long distances.
    """

    steps: int
    tokens: int
    batch: int
    reach: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Shapes (batch, length): ids, positions, the next ids, and the weight of each of those in the loss."""

    ids: Tensor
    positions: Tensor
    targets: Tensor
    weights: Tensor


def encoded(exercise: Exercise) -> tuple[list[int], list[float]]:
    """Ids of an exercise, and the weight in the loss of each: 0 but for the answers and their end."""
    tokenizer = build()
    ids, weights = [BOS], [0.0]
    for number, (prompt, answer) in enumerate(exercise.turns):
        asked = tokenizer.encode(prompt, add_special_tokens=False).ids
        asked = asked[1:] if number else asked  # a later turn starts with a line break, and needs no space before it
        said = [*tokenizer.encode(answer, add_special_tokens=False).ids, EOS]
        ids += asked + said
        weights += [0.0] * len(asked) + [exercise.weight] * len(said)
    return ids, weights


def _sequence(rng: random.Random, stage: Stage) -> tuple[list[int], list[float]]:
    aim = stage.tokens * _FIT
    while True:
        ids, weights = encoded(draw(World(rng), int(aim)))
        if len(ids) <= stage.tokens:
            return ids, weights
        aim *= 0.95


def _positions(rng: random.Random, length: int, reach: int) -> list[int]:
    if reach <= length or rng.random() >= _JUMPY:
        return list(range(length))
    jumps = sorted(rng.sample(range(1, length), rng.randint(1, _JUMPS)))
    far = rng.randint(0, reach - length)
    sizes = sorted(rng.randint(0, far) for _ in jumps)
    positions, added = list[int](), 0
    for index in range(length):
        while jumps and jumps[0] == index:
            jumps.pop(0)
            added = sizes.pop(0)
        positions.append(index + added)
    return positions


class Batches(Dataset[Batch]):
    """The batches of all stages, by number."""

    def __init__(self, stages: tuple[Stage, ...], seed: int, start: int = 0) -> None:
        self.stages, self.seed, self.start = stages, seed, start

    def __len__(self) -> int:
        return sum(stage.steps for stage in self.stages) - self.start

    def stage(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        for stage in self.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        raise IndexError(step)

    def __getitem__(self, index: int) -> Batch:
        step = index + self.start
        rng = random.Random(f"{self.seed}/{step}")
        stage = self.stage(step)
        rows = [_sequence(rng, stage) for _ in range(stage.batch)]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.full((stage.batch, longest), PAD)
        weights = torch.zeros(stage.batch, longest)
        positions = torch.tensor([_positions(rng, longest, stage.reach) for _ in rows])
        for number, (row, weight) in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            weights[number, : len(row)] = torch.tensor(weight)
        return Batch(ids[:, :-1], positions[:, :-1], ids[:, 1:], weights[:, 1:])
