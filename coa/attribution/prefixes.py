"""Which beginnings of prompts are computed once: a plan over their prefix trie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """Rows that go on from one beginning, side by side.

    Attributes:
        prefix: Tokens that they share and that are computed once.
        rows: Their numbers; the first one's beginning is the beginning of all.
    """

    prefix: int
    rows: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class _Node:
    """Rows ``first`` to ``last`` of the sorted ones share ``depth`` tokens.

    Attributes:
        tokens: Of all its rows together, from their first to their last token.
        cost: Tokens to be computed once the shared ones are.
        flat: Ranges of rows that are computed from here side by side.
        deeper: Parts whose own beginning is worth a pass of its own.
    """

    depth: int
    first: int
    last: int = 0
    tokens: int = 0
    cost: int = 0
    flat: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    deeper: list[_Node] = field(default_factory=list["_Node"])

    def adopt(self, part: _Node, price: int) -> None:
        """Take in a part: computed from here row by row, or from its own beginning where that is cheaper."""
        self.tokens += part.tokens
        from_here = part.tokens - (part.last - part.first + 1) * self.depth
        if part.last > part.first and (below := part.depth - self.depth + price + part.cost) < from_here:
            self.deeper.append(part)
            self.cost += below
            return
        self.cost += from_here + (0 if self.flat else price)
        if self.flat and self.flat[-1][1] + 1 == part.first:
            self.flat[-1] = (self.flat[-1][0], part.last)
        else:
            self.flat.append((part.first, part.last))


def forks(rows: Sequence[Sequence[int]], tail: int, price: int) -> list[Fork]:
    """The cheapest plan by tokens computed, in an order in which each beginning continues the one before it.

    Args:
        rows: Token numbers of each row.
        tail: Last tokens of every row that are never shared: their logits are wanted.
        price: What one more pass through the model costs, in tokens.
    """
    order = sorted(range(len(rows)), key=lambda i: list(rows[i]))
    plan: list[Fork] = []
    waiting = [_trie([rows[i] for i in order], tail, price)]
    while waiting:
        node = waiting.pop()
        if node.flat:
            chosen = tuple(order[at] for first, last in node.flat for at in range(first, last + 1))
            plan.append(Fork(prefix=node.depth, rows=chosen))
        waiting += reversed(node.deeper)
    return plan


def shared(a: Sequence[int], b: Sequence[int], most: int) -> int:
    """How many tokens two rows have in common from their beginning, up to ``most``."""
    low, high = 0, min(len(a), len(b), most)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _trie(rows: Sequence[Sequence[int]], tail: int, price: int) -> _Node:
    """The root of the trie of sorted rows; each node's cost is settled when the last of its rows is in."""
    root = _Node(depth=0, first=0)
    path = [root]
    for at, row in enumerate(rows):
        last = at + 1 == len(rows)
        ahead = 0 if last else shared(row, rows[at + 1], min(len(row), len(rows[at + 1])) - tail)
        leaf = _Node(depth=len(row), first=at, last=at, tokens=len(row))
        if ahead > path[-1].depth:
            path.append(_Node(depth=ahead, first=at))
        path[-1].adopt(leaf, price)
        while path[-1].depth > ahead:
            _close(path, ahead, at, price)
    root.last = len(rows) - 1
    return root


def _close(path: list[_Node], ahead: int, at: int, price: int) -> None:
    """The deepest node is complete: it goes into the one above, or into a new one that shares ``ahead`` tokens."""
    done = path.pop()
    done.last = at
    if path[-1].depth < ahead:
        path.append(_Node(depth=ahead, first=done.first))
    path[-1].adopt(done, price)
