"""`OfflineModel`: answers requests from their values, and says nothing that is not in the document."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from coa.errors import RequestRejected
from coa.sentences import sentence_spans
from coa.serving.base import Reply, Request
from coa.serving.offline.rank import Candidate, choose, relevance
from coa.serving.offline.terms import word_count
from coa.tokens import EstimateCounter, TokenCounter
from coa.types import Evidence, Notes, Passage

VERSION = 1
"""Raised whenever the engine would choose other sentences; every reply names it."""

SUMMARY_WORDS = 250
ANSWER_WORDS = 80

_POOL = 120
_LEAST_A_PART = 2
_LONGEST_WORDS = 90
_NOTHING = "NO NEW INFORMATION"
_UNRELATED = "No sentence of the document shares a content word with the question."
_NO_SENTENCES = "The document holds no sentence that could stand in a summary."
_CLOSE_TO_BEST = 0.4


class OfflineModel:
    """An extractive engine behind the `Model` protocol. Deterministic, free, and without understanding."""

    name = "offline"

    def __init__(self, window: int = 32_768, counter: TokenCounter | None = None) -> None:
        self.window = window
        self.counter: TokenCounter = counter or EstimateCounter()

    async def complete(self, request: Request) -> Reply:
        """Work on ``request.inputs``; the prompt is not read.

        Raises:
            RequestRejected: a role that needs a language model.
        """
        if request.role == "worker":
            text = await asyncio.to_thread(self._read, request.inputs, request.max_tokens)
        elif request.role == "manager":
            text = await asyncio.to_thread(_answer, request.inputs)
        else:
            raise RequestRejected(
                f"the offline engine cannot play the role {request.role!r}", hint="Name a model with --model."
            )
        return Reply(text=text, finish="stop", model=f"offline/{VERSION}")

    async def close(self) -> None:
        """Nothing to release."""

    def _read(self, inputs: Mapping[str, Any], max_tokens: int) -> str:
        """Notes: the pool of the earlier parts, as markers, and this part's best sentences as quotes."""
        passage: Passage = inputs["passage"]
        notes: Notes = inputs["notes"]
        share = max(_LEAST_A_PART, math.ceil(_POOL / passage.parts))
        best = _best(passage.text, inputs["query"], inputs["kind"], share)
        new = self._within(best, max_tokens - self.counter.count(notes.text))
        if not new:
            return _NOTHING
        kept = _pruned(notes.evidence, inputs["query"], inputs["kind"], _POOL - len(new))
        return "\n".join([*(f"[{item.marker}]" for item in kept), *(f"[[{sentence}]]" for sentence in new)])

    def _within(self, sentences: Sequence[str], tokens: int) -> list[str]:
        fitting: list[str] = []
        for sentence in sentences:
            tokens -= self.counter.count(sentence) + 4
            if tokens < 0:
                break
            fitting.append(sentence)
        return fitting


def _best(text: str, query: str | None, kind: str, most: int) -> list[str]:
    """The best sentences of a text, in its order."""
    sentences = [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]
    candidates = [Candidate(sentence, place) for place, sentence in enumerate(sentences) if _quotable(sentence)]
    return [candidates[index].text for index in sorted(_pool(candidates, query, kind, most))]


def _pool(candidates: Sequence[Candidate], query: str | None, kind: str, most: int) -> list[int]:
    """For a summary what matters and differs; for a question what bears on it, repeated or not."""
    if kind != "qa":
        return choose(candidates, query, most=most)
    scores = relevance(candidates, query or "")
    return sorted((i for i, score in enumerate(scores) if score > 0), key=lambda i: -scores[i])[:most]


def _quotable(sentence: str) -> bool:
    """Not so long that it is no sentence, and without the brackets that mark quotes."""
    return "[[" not in sentence and "]]" not in sentence and 3 <= word_count(sentence) <= _LONGEST_WORDS


def _pruned(evidence: Sequence[Evidence], query: str | None, kind: str, most: int) -> list[Evidence]:
    if len(evidence) <= most:
        return list(evidence)
    return [evidence[index] for index in sorted(_pool(_candidates(evidence), query, kind, most))]


def _candidates(evidence: Sequence[Evidence]) -> list[Candidate]:
    return [Candidate(" ".join(item.quote.split()), place) for place, item in enumerate(evidence)]


def _answer(inputs: Mapping[str, Any]) -> str:
    """The final choice among the pool, each sentence with its marker."""
    evidence: Sequence[Evidence] = inputs["notes"].evidence
    query: str | None = inputs["query"]
    candidates = _candidates(evidence)
    if inputs["kind"] == "qa":
        chosen = _relevant(candidates, query or "", inputs["words"] or ANSWER_WORDS)
    else:
        chosen = sorted(choose(candidates, query, words=inputs["words"] or SUMMARY_WORDS))
    if not chosen:
        return _UNRELATED if inputs["kind"] == "qa" else _NO_SENTENCES
    return "\n".join(f"{candidates[index].text} [{evidence[index].marker}]" for index in chosen)


def _relevant(candidates: Sequence[Candidate], query: str, words: int) -> list[int]:
    """By relevance, the best first; what is far behind the best is left out."""
    scores = relevance(candidates, query)
    floor = _CLOSE_TO_BEST * max(scores, default=0.0)
    ranked = sorted((index for index, score in enumerate(scores) if score > floor), key=lambda index: -scores[index])
    chosen: list[int] = []
    length = 0
    for index in ranked:
        length += word_count(candidates[index].text)
        if chosen and length > words:
            break
        chosen.append(index)
    return chosen
