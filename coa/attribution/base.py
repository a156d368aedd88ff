"""The words of traceback: segments, scorers, and what a trace found.

A *coalition* is a set of segments, named by their numbers in document order; v(S) is the log-probability of the answer
(or of one claim of it), in nats, when the model sees the segments of S and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from coa.types import Span

Coalition = frozenset[int]
Kind = Literal["logprobs", "regenerate", "ptrue", "support"]
Role = Literal["sufficient", "needed", "copy", "part", "candidate"]
Verdict = Literal["certified", "partly explained", "not explained by the context", "unfinished", "support only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the source, the smallest thing that can be blamed. Two segments may hold the same words.

    Attributes:
        span: Where it stands; the document's text at ``span`` is ``text``, verbatim.
        text: The words.
        tokens: Its size, for the account.
    """

    span: Span
    text: str
    tokens: int


@runtime_checkable
class Scorer(Protocol):
    """Says how likely the answer is when only some of the segments are shown.

    Attributes:
        kind: ``logprobs`` (exact), ``regenerate`` (noisy), ``ptrue`` (a judgement) or ``support`` (similarity, which is
            no cause).
        label: The model and the way it is asked, for people.
        offsets: Where each scored token of the answer begins, in characters of the answer.
    """

    kind: Kind
    label: str

    @property
    def offsets(self) -> Sequence[int]:
        """Start of each column of `logprobs` in the answer; known after the first call."""
        ...

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        """Log-probability of each token of the answer, in nats: one array of shape ``(tokens,)`` a coalition."""
        ...


@runtime_checkable
class Utility(Protocol):
    """v(S) of one claim over ``n`` segments: what every search of this package is written against."""

    @property
    def n(self) -> int:
        """Number of segments."""
        ...

    async def values(self, coalitions: Sequence[Coalition]) -> list[float]:
        """The value of each coalition, in nats; one call is one batch, scored side by side.

        Raises:
            BudgetSpent: the batch does not fit in what is left; nothing of it was scored.
        """
        ...


class BudgetSpent(Exception):
    """The next batch does not fit in the budget of the trace. Searches stop here and return the best so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How hard to look.

    Attributes:
        k: Most segments that one claim may be traced to.
        epsilon: Differences below this many nats count as none.
        branch: Parts that a promising group is cut into.
        halves: Rows of the first level of the robust search, at least; it is begun again with the next number until its
            result is certified, or the same once more.
        seed: Of every random choice.
        prune: Whether Shapley values may drop segments (unwise when the scorer is noisy).
        least: Nats that a finding must bring, or all segments must; grows with the noise and with how many groups are
            tried, the best of which brings something by chance.
        noise: Standard deviation of a value, in nats, as measured.
        share: Of the best cause's Shapley value, what every other one must have.
        edges: How strong a border stands before each segment, 0 for none; groups end at the strongest near their even
            ends. Empty for even groups. See `coa.attribution.outline`.
    """

    k: int = 5
    epsilon: float = 1.5
    branch: int = 4
    halves: tuple[int, ...] = (8, 16, 32, 64)
    seed: int = 0
    prune: bool = True
    least: float = 0.0
    noise: float = 0.0
    share: float = 0.1
    edges: tuple[int, ...] = ()

    @property
    def groups(self) -> int:
        """Groups that the segments are first cut into."""
        return 2 * self.k


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One segment that the claim rests on.

    Attributes:
        segment: Its number.
        phi: Its Shapley value among the segments found, in nats.
        alone: v({segment}) - v(nothing): what it brings by itself.
        drop: What is lost when it alone is taken from the segments found.
        role: ``sufficient`` alone, ``needed`` with others, a ``copy`` that others can replace, or a ``part``; a
            ``candidate`` stood out when the budget ended, and was not examined.
    """

    segment: int
    phi: float
    alone: float
    drop: float
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Some of the segments, and how likely the claim was with them alone.

    Attributes:
        segments: Their numbers as ranges, ends included.
        value: v, in nats.
    """

    segments: tuple[tuple[int, int], ...]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One round of a search.

    Attributes:
        asked: Coalitions whose value was wanted.
        least: Segments in the smallest of them; ``most`` in the largest.
        low: The lowest value, in nats; ``high`` the highest.
        best: The coalitions of the highest values, best first.
    """

    asked: int
    least: int
    most: int
    low: float
    high: float
    best: tuple[Shown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search says about one claim, best cause first.

    Attributes:
        causes: At most ``Search.k``; empty when the context does not explain the claim.
        v_all: v of all segments; ``v_none`` of none; ``v_only`` of the causes alone; ``v_without`` of all but them.
        certified: Whether the causes alone carry the claim (sufficiency) and the rest does not (necessity).
        method: The search that found them.
        complete: False when the budget ended the search early.
        kept: v of the best cause alone, of the best two, and so on; empty where they were not all scored.
        left: v of the causes without the best one, without the best two, and so on.
        batches: The rounds of the search.
    """

    causes: tuple[Cause, ...]
    v_all: float
    v_none: float
    v_only: float
    v_without: float
    certified: bool
    method: str
    complete: bool = True
    kept: tuple[float, ...] = ()
    left: tuple[float, ...] = ()
    batches: tuple[Batch, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The result in two words."""
        if not self.causes:
            return "not explained by the context" if self.complete else "unfinished"
        if self.method == "candidates":
            return "unfinished"
        if self.method == "support":
            return "support only"
        return "certified" if self.certified else "partly explained"
