"""In which order the chunks are read. One function and one line in `ORDERS` add another."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from coa.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an order may look at: the parts' texts, read only when asked for, and what the reading is about."""

    count: int
    texts: Callable[[], Sequence[str]]
    query: str | None = None


Order = Callable[[Parts], tuple[int, ...]]


def left_to_right(parts: Parts) -> tuple[int, ...]:
    """As the documents run; the paper's default (arXiv 2406.02818, Algorithm 1)."""
    return tuple(range(parts.count))


def right_to_left(parts: Parts) -> tuple[int, ...]:
    """From the end to the beginning (section 5.5 of the paper compares both)."""
    return tuple(reversed(range(parts.count)))


def by_relevance(parts: Parts) -> tuple[int, ...]:
    """What shares most with the question first; equals in the order of the documents.

    Raises:
        UsageError: without a question.
    """
    from coa.pipelines.likeness import vectors

    if not parts.query:
        raise UsageError(
            "the order relevance needs a question", hint="Ask one, give a --focus, or choose another order."
        )
    *rows, query = vectors([*parts.texts(), parts.query])
    scores = [float(row @ query) for row in rows]
    return tuple(sorted(range(parts.count), key=lambda i: -scores[i]))


def chow_liu(parts: Parts) -> tuple[int, ...]:
    """What belongs together is read together: breadth first over a tree of the strongest likenesses.

    The Chow-Liu order of arXiv 2603.09835, with likeness of rare words in the place of embeddings. The root is the part
    nearest to the question, or, where there is none, to all parts.
    """
    from coa.pipelines.likeness import spanning_tree, vectors

    rows = vectors([*parts.texts(), *([parts.query] if parts.query else [])])
    goal, rows = (rows[-1], rows[:-1]) if parts.query else (rows.sum(axis=0), rows)
    root = int((rows @ goal).argmax())
    children: list[list[tuple[float, int]]] = [[] for _ in range(parts.count)]
    for child, (parent, likeness) in enumerate(spanning_tree(rows, root)):
        if child != root:
            children[parent].append((-likeness, child))
    reading: list[int] = []
    waiting = deque([root])
    while waiting:
        reading.append(waiting.popleft())
        waiting.extend(child for _, child in sorted(children[reading[-1]]))
    return tuple(reading)


def shuffled(seed: int) -> Order:
    """An order drawn at random, the same for the same seed."""

    def order(parts: Parts) -> tuple[int, ...]:
        places = list(range(parts.count))
        random.Random(seed).shuffle(places)
        return tuple(places)

    return order


ORDERS: Mapping[str, Order] = MappingProxyType(
    {
        "ltr": left_to_right,
        "rtl": right_to_left,
        "random": shuffled(0),
        "relevance": by_relevance,
        "chow-liu": chow_liu,
    }
)


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
