"""In which order the chunks are read. One function and one line in `ORDERS` add another."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from coa.errors import UsageError
from coa.pipelines.likeness import Measure, spanning_tree, vectors

_PASSAGE = 1200
"""Characters: about what sentence embedders read at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an order may look at: the parts' texts, read only when asked for, and what the reading is about.

    ``vectors`` makes rows of length one of texts, whose products are their likenesses: of rare words, or an embedder's.
    """

    count: int
    texts: Callable[[], Sequence[str]]
    query: str | None = None
    vectors: Measure = vectors


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
    if not parts.query:
        raise UsageError(
            "the orders relevance and retrieval need a question",
            hint="Ask one, give a --focus, or choose another order.",
        )
    scores = closeness(parts.texts(), parts.query, parts.vectors)
    return tuple(sorted(range(parts.count), key=lambda i: -scores[i]))


def closeness(texts: Sequence[str], query: str, vectors: Measure) -> list[float]:
    """How close each text comes to a query: the likeness of its closest passage, since the rest of it says nothing."""
    passages = [passage for text in texts for passage in _passages(text)]
    *rows, goal = vectors([*passages, query])
    scores = iter([float(row @ goal) for row in rows])
    return [max(next(scores) for _ in _passages(text)) for text in texts]


def _passages(text: str) -> list[str]:
    """Stretches of about `_PASSAGE` characters that begin at words; one at least."""
    starts = [0]
    while len(text) - starts[-1] > 2 * _PASSAGE:
        blank = text.find(" ", starts[-1] + _PASSAGE)
        if blank < 0:
            break
        starts.append(blank)
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def chow_liu(parts: Parts) -> tuple[int, ...]:
    """What belongs together is read together: breadth first over a tree of the strongest likenesses.

    The Chow-Liu order of arXiv 2603.09835, over embeddings, or over likeness of rare words where there is no embedder.
    The root is the part nearest to the question, or, where there is none, to all parts.
    """
    rows = parts.vectors([*parts.texts(), *([parts.query] if parts.query else [])])
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
        "retrieval": by_relevance,
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
