"""Exercises as batches of token ids. Every batch follows from the seed, its number and its shape."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coa.testing.reader.tasks import Exercise, draw
from coa.testing.reader.tokenizer import BOS, EOS, PAD, build, ids
from coa.testing.reader.world import World

_JUMPY = 0.5
_JUMPS = 4
_FIT = 0.95
_AHEAD = 3
"""Batches under way for each process."""


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a batch.

    Attributes:
        tokens: Length of a row.
        rows: Rows.
        reach: Positions go up to here: PoSE (arXiv 2309.10400) lets short rows jump over long distances.
    """

    tokens: int
    rows: int
    reach: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What a step learns from; only answers count.

    Attributes:
        form: Its form.
        ids: (rows, tokens), padded behind.
        positions: (rows, tokens).
        before: (answer tokens,): the places in ``ids``, counted through all rows, that must foretell them.
        targets: (answer tokens,): those tokens.
        weights: (answer tokens,): what each counts.
        kinds: The kind of each question, in the order of the answers.
    """

    form: Form
    ids: NDArray[np.int32]
    positions: NDArray[np.int32]
    before: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    kinds: tuple[str, ...]


def encoded(exercise: Exercise) -> tuple[list[int], list[float]]:
    """Ids of an exercise, and the weight in the loss of each: 0 but for the answers and their end."""
    found, weights = [BOS], [0.0]
    for prompt, answer, _ in exercise.turns:
        asked, said = ids(prompt), [*ids(" " + answer), EOS]
        found += asked + said
        weights += [0.0] * len(asked) + [exercise.weight] * len(said)
    return found, weights


def make(seed: int, step: int, form: Form) -> Batch:
    """The batch of a step."""
    rng = random.Random(f"{seed}/{step}/{form.tokens}")
    table = np.full((form.rows, form.tokens), PAD, dtype=np.int32)
    places = np.empty((form.rows, form.tokens), dtype=np.int32)
    before: list[int] = []
    weights: list[float] = []
    targets: list[int] = []
    kinds: list[str] = []
    for row in range(form.rows):
        exercise, (found, weigh) = _fitting(rng, form.tokens)
        table[row, : len(found)] = found
        places[row] = _positions(rng, table[row], len(found), form.reach)
        answered = [index for index, weight in enumerate(weigh) if weight]
        before += [row * form.tokens + index - 1 for index in answered]
        targets += [found[index] for index in answered]
        weights += [weigh[index] for index in answered]
        kinds += [turn.kind for turn in exercise.turns]
    return Batch(
        form, table, places, np.array(before), np.array(targets), np.array(weights, dtype=np.float32), tuple(kinds)
    )


def _fitting(rng: random.Random, tokens: int) -> tuple[Exercise, tuple[list[int], list[float]]]:
    aim = tokens * _FIT
    while True:
        exercise = draw(World(rng), int(aim))
        found = encoded(exercise)
        if len(found[0]) <= tokens:
            return exercise, found
        aim *= 0.95


def _positions(rng: random.Random, row: NDArray[np.int32], length: int, reach: int) -> NDArray[np.int32]:
    """Rising by one, but for jumps behind some sentences: never within a name, which must stay together."""
    positions = np.arange(len(row), dtype=np.int32)
    ends = np.flatnonzero(row[:length] == _period()) + 1
    if reach <= len(row) or len(ends) < _JUMPS or rng.random() >= _JUMPY:
        return positions
    far = rng.randint(0, reach - len(row))
    jumps = rng.randint(1, _JUMPS)
    cuts = sorted(rng.randint(0, far) for _ in range(jumps))
    for at, size in zip(sorted(rng.sample(list(ends), jumps)), np.diff([0, *cuts]), strict=True):
        positions[at:] += size
    return positions


def _period() -> int:
    return build().token_to_id(".")


class Makers:
    """Processes that make batches ahead of the steps; without any, batches are made when they are asked for.

    Args:
        seed: Of the data.
        forms: The form of the batch of a step, asked for when its making begins.
        start: The first step.
        processes: How many. They are forked at once: before the caller touches a GPU.
    """

    def __init__(self, seed: int, forms: Callable[[int], Form], start: int, processes: int) -> None:
        self._seed, self._forms, self._step = seed, forms, start
        build()
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("fork")) if processes else None
        self._under_way: deque[Future[Batch]] = deque()
        for _ in range(processes * _AHEAD):
            self._begin()

    def _begin(self) -> None:
        assert self._pool is not None
        self._under_way.append(self._pool.submit(make, self._seed, self._step, self._forms(self._step)))
        self._step += 1

    def next(self) -> Batch:
        """The batch of the next step."""
        if self._pool is None:
            self._step += 1
            return make(self._seed, self._step - 1, self._forms(self._step - 1))
        self._begin()
        return self._under_way.popleft().result()

    def __enter__(self) -> Makers:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
