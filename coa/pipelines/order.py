"""In which order the chunks are read. One function and one line in `ORDERS` add another."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from coa.errors import UsageError
from coa.types import Chunk

Order = Callable[[Sequence[Chunk]], tuple[int, ...]]


def left_to_right(chunks: Sequence[Chunk]) -> tuple[int, ...]:
    """As the documents run; the paper's default (arXiv 2406.02818, Algorithm 1)."""
    return tuple(range(len(chunks)))


def right_to_left(chunks: Sequence[Chunk]) -> tuple[int, ...]:
    """From the end to the beginning (section 5.5 of the paper compares both)."""
    return tuple(reversed(range(len(chunks))))


def shuffled(seed: int) -> Order:
    """An order drawn at random, the same for the same seed."""

    def order(chunks: Sequence[Chunk]) -> tuple[int, ...]:
        places = list(range(len(chunks)))
        random.Random(seed).shuffle(places)
        return tuple(places)

    return order


ORDERS: Mapping[str, Order] = MappingProxyType({"ltr": left_to_right, "rtl": right_to_left, "random": shuffled(0)})


def resolve_order(name: str) -> Order:
    """Look an order up by name; ``random:7`` is the random order of seed 7.

    Raises:
        UsageError: for an unknown name.
    """
    kind, _, seed = name.partition(":")
    if kind == "random" and seed.isdecimal():
        return shuffled(int(seed))
    if name not in ORDERS:
        raise UsageError(f"unknown order {name!r}", hint=f"Choose one of: {', '.join(ORDERS)}.")
    return ORDERS[name]
