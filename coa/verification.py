"""Is a claim what a document says? The verdict that stands at the head of an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from coa.types import Answer

Verdict = Literal["supported", "contradicted", "not found", "not judged"]

_HEAD = re.compile(r"^[\W_]*(?:verdict\W*)?(SUPPORTED|CONTRADICTED|NOT[ _]FOUND)\b[\W_]*", re.IGNORECASE)


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
    match = _HEAD.match(answer.text)
    if match is None:
        return Verification(claim=claim, verdict="not judged", answer=answer)
    said = match[1].lower().replace("_", " ")
    if said != "not found" and not answer.citations:
        return Verification(claim=claim, verdict="not found", answer=answer)
    return Verification(claim=claim, verdict=_VERDICTS[said], answer=answer)


_VERDICTS: dict[str, Verdict] = {"supported": "supported", "contradicted": "contradicted", "not found": "not found"}
