"""From many sets of notes to as few as the manager can take, in one of two ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coa.agents.base import REPAIR_RESERVE
from coa.agents.memory import bounded
from coa.agents.merger import joined
from coa.agents.team import team_of
from coa.errors import InvalidReply, WindowTooSmall
from coa.pipelines.base import Job
from coa.pipelines.reading import tell_forgotten
from coa.pipelines.window import Window
from coa.runtime.together import together
from coa.serving.base import prompt_tokens
from coa.types import Notes

_LEAST_NOTES = 48
"""Fewer tokens than these are no notes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What merging has cost: references that pointed nowhere, and facts of structured notes without room."""

    dropped: int = 0
    forgotten: int = 0


async def merge_by_levels(notes: list[Notes], window: Window, job: Job) -> tuple[Notes, Lost]:
    """Merge neighbours side by side, level by level."""
    notes, lost = _remembered(notes, window, job)
    while not _enough(notes, window):
        results = await together([_merge(group, window, job) for group in _groups(notes, window, job)])
        notes = [result[0] for result in results]
        lost = replace(lost, dropped=lost.dropped + sum(result[1] for result in results))
    return joined(notes), lost


async def merge_in_a_row(notes: list[Notes], window: Window, job: Job) -> tuple[Notes, Lost]:
    """Carry one set of notes along the others."""
    notes, lost = _remembered(notes, window, job)
    while not _enough(notes, window):
        first = _groups(notes, window, job)[0]
        carried, dropped = await _merge(first, window, job)
        notes = [carried, *notes[len(first) :]]
        lost = replace(lost, dropped=lost.dropped + dropped)
    return joined(notes), lost


async def all_at_once(notes: list[Notes], window: Window, job: Job) -> tuple[Notes, Lost]:
    """All notes as they are.

    Raises:
        WindowTooSmall: the manager cannot take them.
    """
    whole = joined(notes)
    if whole.tokens > window.room_for_quotes(0):
        raise _too_many(len(notes))
    return whole, Lost()


def even_share(parts: int, window: Window) -> int:
    """Tokens of notes for each of so many parts, that the manager may take all of them.

    Raises:
        WindowTooSmall: it is too little to write notes in.
    """
    share = min(window.notes, window.room_for_quotes(0) // max(1, parts))
    if share < _LEAST_NOTES:
        raise _too_many(parts)
    return share


def _too_many(parts: int) -> WindowTooSmall:
    return WindowTooSmall(
        f"the notes of {parts} parts do not fit the manager's prompt together",
        hint="Use --topology tree, which merges them, or a larger --window.",
    )


def no_merges(parts: int, window: Window) -> tuple[int, int]:
    """Calls and serial calls of `all_at_once`: none."""
    return 0, 0


def levels(parts: int, window: Window) -> tuple[int, int]:
    """Calls and serial calls of `merge_by_levels`, at most."""
    merges = serial = 0
    while parts > 1 and parts * window.notes > room_for_notes(window):
        parts = -(-parts // fan_in(window))
        merges, serial = merges + parts, serial + 1
    return merges, serial


def row(parts: int, window: Window) -> tuple[int, int]:
    """Calls and serial calls of `merge_in_a_row`, at most."""
    merges = 0
    while parts > 1 and parts * window.notes > room_for_notes(window):
        parts -= min(parts, fan_in(window)) - 1
        merges += 1
    return merges, merges


def fan_in(window: Window) -> int:
    """How many notes at their bound fit one prompt, about."""
    return max(2, (window.size - window.notes - window.worker) // max(1, window.notes))


def room_for_notes(window: Window) -> int:
    """Most tokens of notes for the manager: half of what is left, the rest is for quotes."""
    return max(window.notes, window.room_for_quotes(0) // 2)


def _remembered(notes: list[Notes], window: Window, job: Job) -> tuple[list[Notes], Lost]:
    """Structured notes are merged by code, without a call: one memory within the bound. Free ones stay as they are."""
    if not any(item.facts for item in notes):
        return notes, Lost()
    kept = bounded(joined(notes), room_for_notes(window), job.ctx.counter)
    tell_forgotten(kept.forgotten, job)
    return [kept.notes], Lost(forgotten=len(kept.forgotten))


def _enough(notes: Sequence[Notes], window: Window) -> bool:
    return len(notes) <= 1 or sum(item.tokens for item in notes) <= room_for_notes(window)


async def _merge(group: Sequence[Notes], window: Window, job: Job) -> tuple[Notes, int]:
    """One set of notes of a group."""
    whole = joined(group)
    if len(group) == 1:
        return whole, 0
    try:
        merged = await team_of(job.ctx).merger.run(
            team_of(job.ctx).merger.request(whole, job.ctx, max_tokens=window.notes), job.ctx
        )
    except InvalidReply as error:
        raise InvalidReply(f"the notes of {len(group)} parts could not be merged: {error.message}") from None
    return merged.notes, merged.dropped


def _groups(notes: Sequence[Notes], window: Window, job: Job) -> list[list[Notes]]:
    """Neighbours that fit one prompt together; two at least, so that every level has fewer."""
    empty = team_of(job.ctx).merger.request(Notes(), job.ctx, max_tokens=window.notes)
    room = window.size - window.notes - prompt_tokens(empty.messages, job.ctx.counter) - REPAIR_RESERVE
    groups: list[list[Notes]] = [[]]
    size = 0
    for item in notes:
        if len(groups[-1]) >= 2 and size + item.tokens > room:
            groups.append([])
            size = 0
        groups[-1].append(item)
        size += item.tokens
    return groups
