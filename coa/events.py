"""Typed events: the one thing that progress bars, logs, streams and tests all listen to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coa.types import Answer, Notes, Span, Usage

if TYPE_CHECKING:
    from coa.attribution.trace import Trace
    from coa.retrieval.index import Index


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The documents are split. ``steps`` is the fixed denominator of the progress: chunks and final calls."""

    run_id: str
    model: str
    chunks: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """One of the ``steps`` is over. ``usage`` is the total so far; ``done`` never decreases.

    ``notes`` are what a worker had written when it was done with ``span``.
    """

    done: int
    steps: int
    usage: Usage
    span: Span | None = None
    outcome: str = "read"
    notes: Notes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsDropped:
    """Structured notes had no room left for these facts, those with the least support."""

    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """The manager left something open, and these stretches are read again for it."""

    need: str
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDone:
    """A model call was answered, by the provider or by the journal."""

    role: str
    from_journal: bool
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrying:
    """A call failed and will be sent again after ``wait`` seconds."""

    attempt: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A piece of the final text as the model writes it, if ``Settings.stream`` is on.

    ``start`` begins an attempt: what was told before it is void. The pieces are the model's own words, with marks such
    as ``[kqz3]`` for quotes that are not verified yet: the citations come with the answer.
    """

    role: str
    text: str
    start: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A text is planned: its title, and of each section its id, level (1 for chapters), title and words."""

    title: str
    sections: tuple[tuple[str, int, str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionStarted:
    """A section of a text is being written."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionDone:
    """A section is written, with so many words; one that could not be has none, and a ``problem``."""

    id: str
    words: int
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something the user should know; also listed in the answer's warnings."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The run is over and this is its answer."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentIndexed:
    """A document is in the index by its words: the ``done``-th of so many; ``new`` if it was not known as it is."""

    path: str
    new: bool
    done: int
    documents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorsMade:
    """So many of the passages without vectors have theirs now."""

    done: int
    passages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceFinished:
    """The trace is over, and this is what it found."""

    trace: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFinished:
    """All is indexed, and this is the index, open for searching."""

    index: Index


Event = (
    RunStarted
    | StepDone
    | FactsDropped
    | Reopened
    | CallDone
    | Retrying
    | TextPiece
    | Planned
    | SectionStarted
    | SectionDone
    | Warned
    | DocumentIndexed
    | VectorsMade
    | RunFinished
    | TraceFinished
    | IndexFinished
)
Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """An `Emit` for callers who do not listen."""
