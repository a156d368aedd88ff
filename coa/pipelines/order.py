"""In which order the chunks are read. One function and one line in `ORDERS` add another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from coa.errors import UsageError
from coa.types import Chunk

Order = Callable[[Sequence[Chunk]], tuple[int, ...]]


def left_to_right(chunks: Sequence[Chunk]) -> tuple[int, ...]:
    """As the documents run; the paper's default (arXiv 2406.02818, Algorithm 1)."""
    return tuple(range(len(chunks)))


ORDERS: Mapping[str, Order] = MappingProxyType({"ltr": left_to_right})


def resolve_order(name: str) -> Order:
    """Look an order up by name.

    Raises:
        UsageError: for an unknown name.
    """
    if name not in ORDERS:
        raise UsageError(f"unknown order {name!r}", hint=f"Choose one of: {', '.join(ORDERS)}.")
    return ORDERS[name]
