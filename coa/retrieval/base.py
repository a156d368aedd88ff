"""The words and seams of retrieval: `Hit`, `Unit`, `Store` (where units are kept), `Retriever` (what finds them)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from coa.documents import Document
from coa.types import Source, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coa.retrieval.filters import Condition

Mode = Literal["hybrid", "bm25", "dense"]
Value = str | int | float | bool
"""What a field of a unit may hold; dates as ISO 8601 text, which sorts as time does."""

TEXT = "text"
"""The kind of a unit that is a stretch of its document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A passage that was found.

    Attributes:
        span: Where it stands; for the kind ``text`` the document's text at ``span`` is ``text``, verbatim.
        score: Higher is better, comparable within one search only.
        text: The passage; for other kinds, such as ``summary``, what was written about the span.
        path: The document's file.
        page: Page where it begins, from 1; None where the format has no pages.
        section: Titles of the headings it stands under, outermost first.
        kind: ``text``, or ``summary`` for a row that speaks about its span.
        fields: What the user said about the unit: speaker, date and the like.
        parts: Why: the score of each part of the search, such as ``bm25`` and ``dense``.
        unit: Its number in the store; None where it is from none.
    """

    span: Span
    score: float
    text: str = ""
    path: str = ""
    page: int | None = None
    section: tuple[str, ...] = ()
    kind: str = TEXT
    fields: Mapping[str, Value] = field(default_factory=dict[str, Value])
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    unit: int | None = None


@runtime_checkable
class Retriever(Protocol):
    """Anything that finds spans for a query."""

    async def search(self, query: str, k: int) -> list[Hit]:
        """The ``k`` best hits at most, best first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """Whose vectors a store holds: two embedders never share one.

    Attributes:
        name: As `coa.retrieval.embedders.resolve_embedder` takes it.
        fingerprint: Tells these vectors from those of any other model.
        dimensions: Length of a vector.
    """

    name: str
    fingerprint: str
    dimensions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A unit on its way into a store. ``text`` is None where it is the document's own text at the place."""

    start: int
    end: int
    page: int | None = None
    section: tuple[str, ...] = ()
    kind: str = TEXT
    text: str | None = None
    fields: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A document with its units, in the order of their places; those of other kinds than ``text`` come last."""

    document: Document
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as a store gives it back.

    Attributes:
        id: Its number. Units of kind ``text`` that follow each other in a document have numbers that follow each other.
    """

    id: int
    span: Span
    text: str
    path: str
    page: int | None = None
    section: tuple[str, ...] = ()
    kind: str = TEXT
    fields: Mapping[str, Value] = field(default_factory=dict[str, Value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """In which documents words stand, and how often; what BM25 over whole documents is made from.

    Attributes:
        documents: How many there are in the store.
        chars: Their mean length.
        lengths: Of each document that holds any of what was counted, in characters, by its id.
        units: For each phrase, in how many units of a document it stands, by the document's id.
    """

    documents: int
    chars: float
    lengths: Mapping[str, int]
    units: Sequence[Mapping[str, int]]


@runtime_checkable
class CountsWords(Protocol):
    """A store that can count words by document; one that cannot ranks documents by their units alone."""

    def count_words(self, phrases: Sequence[tuple[str, ...]], *, where: Condition | None = None) -> Counts:
        """Count the units of each document that hold each phrase.

        Args:
            phrases: Terms, as `coa.retrieval.terms.terms` gives them: one, or several of which each stands next to the
                other or one word away, in any order.
            where: Only units that meet it are counted.
        """
        ...


@runtime_checkable
class Store(Protocol):
    """Where documents, their units and the units' vectors are kept, and the two ways of scoring them.

    `coa.testing.check_store` checks an implementation. Every method may raise `StorageFailed` where the store cannot be
    read or written, and `UnusableIndex` where it is damaged.
    """

    @property
    def embedding(self) -> Embedding | None:
        """Whose vectors it holds; None while it holds none."""
        ...

    def claim(self, embedding: Embedding) -> None:
        """Take an embedding for the store's own.

        Raises:
            UnusableIndex: the store has another one.
        """
        ...

    def sources(self) -> list[Source]:
        """The documents, by their ids in this store."""
        ...

    def text(self, doc: str, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or a stretch of it; empty where there is no such document."""
        ...

    def document(self, doc: str) -> Document | None:
        """A document as it was put in, with its pages; without the bytes that its characters came from."""
        ...

    def put(self, records: Sequence[Record]) -> list[str]:
        """Insert documents, each in place of what its path held; all of them or none.

        Units whose text is unchanged keep their vectors.

        Returns:
            The id of each document in this store: its own, with a number where another path has it.
        """
        ...

    def remove(self, path: str) -> bool:
        """Take a document out; whether there was one."""
        ...

    def units(self, numbers: Sequence[int]) -> list[Unit]:
        """Units by their numbers, in that order; unknown numbers are left out."""
        ...

    def find(self, where: Condition, most: int) -> list[int]:
        """The numbers of the first ``most`` units that meet a condition, in order."""
        ...

    def waiting(self) -> int:
        """How many units have no vector yet."""
        ...

    def lacking(self, most: int) -> list[Unit]:
        """The first ``most`` units that have no vector yet."""
        ...

    def set_vectors(self, numbers: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Give units their vectors, shape ``(len(numbers), dimensions)``; durable when this returns.

        Raises:
            UsageError: the store's vectors have another length, or it has no embedding yet.
        """
        ...

    def vectors(self, numbers: Sequence[int]) -> dict[int, NDArray[np.float32]]:
        """The vectors of those units that have one."""
        ...

    def search_lexical(
        self, terms: Sequence[str], k: int, *, where: Condition | None = None, among: Collection[int] | None = None
    ) -> dict[int, float]:
        """BM25 of the ``k`` best units that hold any of the terms, over a window of each unit and its neighbours.

        Args:
            terms: As `coa.retrieval.terms.terms` gives them.
            k: How many at most.
            where: Only units that meet it are scored.
            among: Only these are scored: all of them that hold a term, however many.
        """
        ...

    def search_dense(
        self,
        vector: NDArray[np.float32],
        k: int,
        *,
        where: Condition | None = None,
        among: Collection[int] | None = None,
    ) -> dict[int, float]:
        """Cosine of the ``k`` nearest units. Arguments as in `search_lexical`; ``vector`` has unit length.

        Raises:
            UsageError: the vector has another length than the store's.
        """
        ...

    @property
    def stale(self) -> bool:
        """Whether compacting would make searches much faster."""
        ...

    def compact(self) -> None:
        """Give back what deleted units held, and build what makes a large store fast."""
        ...

    def close(self) -> None:
        """Release files and connections; may be called twice."""
        ...
