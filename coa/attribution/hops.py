"""What a trace of a chain is made of: hops, each a text that an agent wrote and what in its prompt it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coa.attribution.base import Found, Role
from coa.types import Span

PieceKind = Literal["note", "passage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HopCause:
    """A note or a sentence in an agent's prompt that its text rests on.

    Attributes:
        kind: ``note`` (of a communication unit) or ``passage`` (a sentence of the source, at ``span``).
        text: Its words; of a note with its markers.
        phi, alone, drop, role: As in `coa.attribution.base.Cause`.
        hop: Of a note: place among the claim's hops of the one that explains it; None where its writer is not known.
    """

    kind: PieceKind
    text: str
    span: Span | None
    phi: float
    alone: float
    drop: float
    role: Role
    hop: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One agent's sentence explained by what that agent was shown.

    Attributes:
        agent: ``manager``, ``merger``, ``worker``, ``reader`` or ``writer``.
        part: Of a worker: which part of the documents it read, counted from 1 of ``parts``.
        text: The sentence as the agent wrote it.
        causes: Best first.
        found: The figures of the search.
    """

    agent: str
    part: int | None
    parts: int | None
    text: str
    causes: tuple[HopCause, ...]
    found: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """One more sentence left out.

    Attributes:
        segment: Its number; those of the points before are left out too.
        value: v of the answer that was given, in nats.
        answer: What the chain answers now.
        kept: Of what the first answer says beyond the question, the share of terms that this one holds.
    """

    segment: int
    value: float
    answer: str
    kept: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """The curve.

    Attributes:
        whole: v of the answer with nothing left out, in nats.
        points: One sentence more left out at each.
        calls: Reckoned beforehand: calls for all points, if every prompt from the first change on is another one.
        equivalents: The same in prompts that would hold all documents.
        complete: Whether all sentences that were asked for were left out; False where the budget does not hold them.
    """

    whole: float
    points: tuple[Deleted, ...]
    calls: int
    equivalents: float
    complete: bool
