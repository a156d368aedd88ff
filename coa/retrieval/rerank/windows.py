"""Which passages a ranker sees in which call: all at once, or a window that slides from the tail to the head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from coa.errors import UsageError, WindowTooSmall

Mode = Literal["auto", "full", "sliding"]

MOST_AT_ONCE = 30
"""``auto`` ranks up to so many passages in one call: beyond that, models that are not trained for it rank worse than
with a sliding window (arXiv 2412.14574)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listwise:
    """How a list is ranked.

    Attributes:
        mode: ``full`` ranks all passages in one call; ``sliding`` ranks ``window`` at a time from the tail, each window
            ``step`` further up, so that the best rise to the head; ``auto`` is ``full`` for up to 30 that fit.
        window: Passages a call.
        step: How far the window moves.
    """

    mode: Mode = "auto"
    window: int = 20
    step: int = 10

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UsageError(f"unknown way to rank {self.mode!r}", hint=f"Choose one of: {', '.join(get_args(Mode))}.")
        if not 1 <= self.step < self.window:
            raise UsageError(
                f"a window of {self.window} passages cannot move by {self.step}",
                hint="Give a step of 1 or more that is smaller than the window, such as 20 and 10.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The calls of a ranking: ``(start, end)`` of each window, in the order they are made."""

    windows: tuple[tuple[int, int], ...]
    method: str
    warnings: tuple[str, ...] = ()


def sliding(n: int, window: int, step: int) -> list[tuple[int, int]]:
    """The windows over ``n`` passages, from the tail: ``max(1, ceil((n - window) / step) + 1)`` of them."""
    found = [(max(0, n - window), n)]
    while found[-1][0] > 0:
        start, end = n - window - len(found) * step, n - len(found) * step
        found.append((max(0, start), end))
    return found


def schedule(sizes: Sequence[int], room: int, how: Listwise) -> Schedule:
    """Which windows to rank.

    Args:
        sizes: Tokens of each passage with its number.
        room: Tokens of passages that a prompt holds.
        how: What is wanted; a window that the room cannot hold is made smaller, never the passages.

    Raises:
        WindowTooSmall: not all passages fit into one call where that is wanted, or not even two of them.
    """
    n = len(sizes)
    whole = sum(sizes) <= room
    if how.mode == "full" and not whole:
        raise WindowTooSmall(
            f"{n} passages of {sum(sizes)} tokens do not fit into one call, which has room for {room}",
            hint="Rank fewer, give a larger --window, or use a sliding window.",
        )
    if whole and (how.mode == "full" or (how.mode == "auto" and n <= MOST_AT_ONCE)):
        return Schedule(windows=((0, n),), method="full")
    window = _fitting(sizes, room, how.window)
    step = how.step if window == how.window else max(1, window // 2)
    said = f"a call holds {window} passages, not {how.window}: they are long for this window"
    return Schedule(
        windows=tuple(sliding(n, window, step)),
        method=f"sliding {window}/{step}",
        warnings=() if window == how.window else (said,),
    )


def _fitting(sizes: Sequence[int], room: int, most: int) -> int:
    """How many passages fit into any call, whichever they are: after a few calls nobody knows which meet."""
    total = 0
    for count, size in enumerate(sorted(sizes, reverse=True)[:most]):
        total += size
        if total > room:
            if count < 2:
                raise WindowTooSmall(
                    f"two passages of up to {size} tokens do not fit into a call, which has room for {room}",
                    hint="Give a larger --window.",
                )
            return count
    return most
