"""`OfflineModel`: answers requests from their values, and says nothing that is not in the document."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from coa.errors import RequestRejected
from coa.retrieval.embedders import Embedder
from coa.retrieval.terms import word_count
from coa.sentences import sentence_spans
from coa.serving.base import Reply, Request
from coa.serving.offline.code import copied
from coa.serving.offline.rank import Candidate, diverse, importance, relevance
from coa.serving.offline.records import labelled
from coa.tokens import EstimateCounter, TokenCounter
from coa.types import Evidence, Notes, Passage

VERSION = 2
"""Raised whenever the engine would choose other sentences; every reply names it."""

WINDOW = 32_768
SUMMARY_WORDS = 250
ANSWER_WORDS = 80

_POOL = 120
_LEAST_A_PART = 2
_LONGEST_WORDS = 90
_NOTHING = "NO NEW INFORMATION"
_UNRELATED = "No sentence of the document shares a content word with the question."
_NO_SENTENCES = "The document holds no sentence that could stand in a summary."
_CLOSE_TO_BEST = 0.4
_TOKENS_A_LINE = 12
_LINE = re.compile(r"\[(\w+)\] (\d+\.\d+)")


class OfflineModel:
    """An extractive engine behind the `Model` protocol. Deterministic, free, and without understanding."""

    def __init__(
        self, window: int = WINDOW, counter: TokenCounter | None = None, embedder: Embedder | None = None
    ) -> None:
        self.window = window
        self._embedder = embedder
        self.counter: TokenCounter = counter or EstimateCounter()
        self.name = "offline" if embedder is None else f"offline:{embedder.name}"

    async def complete(self, request: Request) -> Reply:
        """Work on ``request.inputs``; the prompt is not read.

        Raises:
            RequestRejected: a role that needs a language model.
        """
        if request.inputs.get("kind") == "complete":
            text = await asyncio.to_thread(copied, request.role, request.inputs)
        elif request.role == "extractor":
            text = await asyncio.to_thread(labelled, request.inputs["passage"].text, request.inputs["schema"])
        elif request.role == "worker":
            read = self._remember if request.inputs.get("form") == "memory" else self._read
            text = await asyncio.to_thread(read, request.inputs, request.max_tokens)
        elif request.role == "merger":
            text = self._merge(request.inputs["notes"], request.inputs["kind"], request.max_tokens)
        elif request.role == "manager":
            text = _unjudged(await asyncio.to_thread(_answer, request.inputs), request.inputs)
        elif request.role == "reader":
            text = _unjudged(await asyncio.to_thread(self._read_all, request.inputs), request.inputs)
        elif request.role == "judge":
            text = _preferred(request.inputs["cited"])
        elif request.role == "writer":
            text = await asyncio.to_thread(_digest, request.inputs)
        else:
            raise RequestRejected(
                f"the offline engine cannot play the role {request.role!r}", hint="Name a model with --model."
            )
        return Reply(text=text, finish="stop", model=self._version())

    def _version(self) -> str:
        return f"offline/{VERSION}" + (f" with {self._embedder.fingerprint}" if self._embedder else "")

    async def close(self) -> None:
        """Nothing to release."""

    def _read(self, inputs: Mapping[str, Any], max_tokens: int) -> str:
        """Notes: a line for each sentence of the pool, ``[marker] score`` if known, ``[[its words]] score`` if new."""
        passage: Passage = inputs["passage"]
        notes: Notes = inputs["notes"]
        share = max(_LEAST_A_PART, math.ceil(_POOL / passage.parts))
        new = self._within(_best(passage.text, inputs["query"], inputs["kind"], share, self._embedder), max_tokens)
        if not new:
            return _NOTHING
        lines = [f"[[{sentence.text}]] {sentence.score:.3f}" for sentence in new]
        room = max_tokens - sum(self.counter.count(line) + 1 for line in lines)
        pool = _pool(notes)
        known = _best_first(pool, inputs["kind"], min(_POOL - len(new), room // _TOKENS_A_LINE))
        return "\n".join([*(f"[{pool[i].marker}] {pool[i].score:.3f}" for i in sorted(known)), *lines])

    def _remember(self, inputs: Mapping[str, Any], max_tokens: int) -> str:
        """The best sentences of a part as facts of a structured memory."""
        passage: Passage = inputs["passage"]
        share = max(_LEAST_A_PART, math.ceil(_POOL / passage.parts))
        new = self._within(_best(passage.text, inputs["query"], inputs["kind"], share, self._embedder), max_tokens // 2)
        lines = [{"fact": each.text, "quote": each.text, "confidence": _confidence(each.score)} for each in new]
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines) or _NOTHING

    def _read_all(self, inputs: Mapping[str, Any]) -> str:
        """The whole document at once: the sentences of the answer, each as a quote."""
        passage: Passage = inputs["passage"]
        pool = _best(passage.text, inputs["query"], inputs["kind"], _POOL, self._embedder)
        pool.sort(key=lambda sentence: sentence.start)
        lines = [f"{pool[index].text} [[{pool[index].text}]]" for index in _chosen(pool, inputs)]
        return "\n".join(lines) or _nothing_to_say(inputs["kind"])

    def _merge(self, notes: Notes, kind: str, max_tokens: int) -> str:
        """The best lines of several notes."""
        pool = _pool(notes)
        best = _best_first(pool, kind, max_tokens // _TOKENS_A_LINE)
        return "\n".join(f"[{pool[i].marker}] {pool[i].score:.3f}" for i in sorted(best)) or _NOTHING

    def _within(self, sentences: Sequence[Scored], tokens: int) -> list[Scored]:
        """As many of the best as their quotes fit, in reading order."""
        fitting: list[Scored] = []
        for sentence in sentences:
            tokens -= self.counter.count(sentence.text) + _TOKENS_A_LINE
            if tokens >= 0:
                fitting.append(sentence)
        return sorted(fitting, key=lambda sentence: sentence.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored(Candidate):
    """A sentence with the score it got among its neighbours, and its marker once it has one."""

    score: float
    marker: str = ""


def _best(text: str, query: str | None, kind: str, most: int, embedder: Embedder | None = None) -> list[Scored]:
    """The best sentences of a text, best first."""
    sentences = [
        Candidate(text=" ".join(text[start:end].split()), start=start, end=end) for start, end in sentence_spans(text)
    ]
    candidates = [sentence for sentence in sentences if _quotable(sentence.text)]
    likeness = _likeness(candidates, query, embedder)
    scores = relevance(candidates, query or "", likeness) if _asks(kind) else importance(candidates, query, likeness)
    scored = [
        Scored(text=each.text, start=each.start, end=each.end, score=score)
        for each, score in zip(candidates, scores, strict=True)
    ]
    return [scored[index] for index in _best_first(scored, kind, most)]


def _likeness(candidates: Sequence[Candidate], query: str | None, embedder: Embedder | None) -> list[float] | None:
    if embedder is None or query is None:
        return None
    vectors = embedder.embed([query, *(candidate.text for candidate in candidates)])
    return [float(value) for value in vectors[1:] @ vectors[0]]


def _confidence(score: float) -> int:
    return max(1, min(5, round(score)))


def _quotable(sentence: str) -> bool:
    """Not so long that it is no sentence, and without the brackets that mark quotes."""
    return "[[" not in sentence and "]]" not in sentence and 3 <= word_count(sentence) <= _LONGEST_WORDS


def _pool(notes: Notes) -> list[Scored]:
    """The sentences of the notes with the scores that their lines carry."""
    quotes = {item.marker: item for item in notes.evidence}
    scores = [(marker, str(fact.confidence)) for fact in notes.facts for marker in fact.markers]
    return [
        Scored(
            text=" ".join(quotes[marker].quote.split()),
            start=quotes[marker].span.start,
            end=quotes[marker].span.end,
            score=float(score),
            marker=marker,
        )
        for marker, score in scores or _LINE.findall(notes.text)
    ]


def _best_first(pool: Sequence[Scored], kind: str, most: int) -> list[int]:
    """For a summary what matters and differs; for a question what bears on it, repeated or not."""
    if _asks(kind):
        return [index for index in _ranked(pool) if pool[index].score > 0][: max(0, most)]
    return diverse(pool, [item.score for item in pool], most=max(0, most))


def _ranked(pool: Sequence[Scored]) -> list[int]:
    return sorted(range(len(pool)), key=lambda index: -pool[index].score)


def _answer(inputs: Mapping[str, Any]) -> str:
    """The final choice among the pool, each sentence with its marker."""
    pool = _pool(inputs["notes"])
    lines = [f"{pool[index].text} [{pool[index].marker}]" for index in _chosen(pool, inputs)]
    return "\n".join(lines) or _nothing_to_say(inputs["kind"])


def _chosen(pool: Sequence[Scored], inputs: Mapping[str, Any]) -> list[int]:
    """For a question the most relevant first; for a summary what matters and differs, in reading order."""
    if _asks(inputs["kind"]):
        return _relevant(pool, inputs["words"] or ANSWER_WORDS)
    return sorted(diverse(pool, [item.score for item in pool], words=inputs["words"] or SUMMARY_WORDS))


def _asks(kind: str) -> bool:
    """Whether something is asked of the document, a question or whether a claim is so."""
    return kind in ("qa", "verify")


def _unjudged(text: str, inputs: Mapping[str, Any]) -> str:
    """The text behind the words that say that nothing is decided, where a verdict or a choice was asked for."""
    return f"NOT JUDGED\n{text}" if inputs["kind"] == "verify" or inputs.get("choices") else text


def _nothing_to_say(kind: str) -> str:
    return _UNRELATED if _asks(kind) else _NO_SENTENCES


def _relevant(pool: Sequence[Scored], words: int) -> list[int]:
    """By relevance, the best first; what is far behind the best is left out."""
    floor = _CLOSE_TO_BEST * max((item.score for item in pool), default=0.0)
    chosen: list[int] = []
    length = 0
    for index in _ranked(pool):
        length += word_count(pool[index].text)
        if pool[index].score <= floor or (chosen and length > words):
            break
        chosen.append(index)
    return chosen


def _preferred(cited: Sequence[int]) -> str:
    """The letter of the text that cites the most: nothing else can be told without understanding."""
    return ascii_uppercase[max(range(len(cited)), key=lambda i: (cited[i], -i))]


def _digest(inputs: Mapping[str, Any]) -> str:
    """Sentences that stand for a stretch of the sources, in its order, each with its marker."""
    evidence: Sequence[Evidence] = [item for item in inputs["evidence"] if _quotable(item.quote)]
    candidates = [Candidate(text=item.quote, start=item.span.start, end=item.span.end) for item in evidence]
    chosen = sorted(diverse(candidates, importance(candidates, None), words=inputs["words"]))
    return " ".join(f"{' '.join(evidence[i].quote.split())} [{evidence[i].marker}]" for i in chosen)
