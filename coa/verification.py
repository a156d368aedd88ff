"""Is a claim what a document says? The verdict that stands at the head of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from coa.agents.closed import verdict_in
from coa.types import Answer

Verdict = Literal["supported", "contradicted", "not found", "not judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a document says about one claim.

    Attributes:
        verdict: ``supported``, ``contradicted``, ``not found``; ``not judged`` where the model gave no verdict, as the
            offline engine never does: it only shows what bears on the claim.
        answer: The reasons, with their citations, coverage and cost.
    """

    claim: str
    verdict: Verdict
    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """The object that ``coa verify --json`` prints for a claim."""
        return {"claim": self.claim, "verdict": self.verdict, "answer": self.answer.to_dict()}


def verdict_of(claim: str, answer: Answer) -> Verification:
    """Read the verdict off the first line. Support that cites nothing is none: it counts as not found."""
    said = verdict_in(answer.text)
    if said in ("supported", "contradicted"):
        return Verification(claim=claim, verdict=said if answer.citations else "not found", answer=answer)
    return Verification(claim=claim, verdict="not found" if said == "not found" else "not judged", answer=answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two claims of which one should be so and the other not: each was judged without sight of the other (NoCha).

    Attributes:
        outcome: Which of them is supported: ``first``, ``second``, ``both``, ``neither``; ``not judged`` where the
            model gave no verdict for one of them.
    """

    first: Verification
    second: Verification
    outcome: Literal["first", "second", "both", "neither", "not judged"]

    @property
    def consistent(self) -> bool:
        """Whether exactly one of the claims is supported, as it must be for a pair."""
        return self.outcome in ("first", "second")

    def to_dict(self) -> dict[str, Any]:
        """The object that ``coa verify --pair --json`` prints."""
        claims = [self.first.to_dict(), self.second.to_dict()]
        return {"claims": claims, "pair": {"outcome": self.outcome, "consistent": self.consistent}}


def pair_of(first: Verification, second: Verification) -> Pair:
    """Put the verdicts on two claims together; one that is contradicted or not found counts as not supported."""
    if "not judged" in (first.verdict, second.verdict):
        return Pair(first=first, second=second, outcome="not judged")
    supported = (first.verdict == "supported", second.verdict == "supported")
    return Pair(first=first, second=second, outcome=_OUTCOMES[supported])


_OUTCOMES: Mapping[tuple[bool, bool], Literal["first", "second", "both", "neither"]] = MappingProxyType(
    {(True, False): "first", (False, True): "second", (True, True): "both", (False, False): "neither"}
)
