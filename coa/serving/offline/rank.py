"""Which sentences matter: centrality, position, relevance to a query, and no two that say the same.

Centrality is the cosine with the centroid of all sentences (Radev et al., 2004); relevance is BM25 (Robertson and
Zaragoza, 2009), shared with the neighbours of a sentence, because an answer often stands beside the words of its
question; the choice is greedy and discounts what has been said (maximal marginal relevance, Carbonell and Goldstein,
1998).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from coa.serving.offline.terms import terms, word_count

_K1, _B = 1.2, 0.75
_NEIGHBOUR = 0.3
_CENTRAL = 0.35
_LEAD = 0.08
_FULL_LENGTH = 12
_SAID_BEFORE = 0.35
_COULD_ANSWER = 1.4
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
_NUMBER = re.compile(
    r"\b(?:\d[\d.,:]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|\w+ty-\w+|hundred"
    r"|thousand)\b",
    re.IGNORECASE,
)
_ANSWERS = (
    (re.compile(r"\bwho(?:m|se)?\b", re.IGNORECASE), _NAME),
    (re.compile(r"\b(?:how (?:many|much|old|long|far|often)|when|what (?:year|time|date))\b", re.IGNORECASE), _NUMBER),
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be chosen: its text, and its place in the reading order."""

    text: str
    place: int


def choose(
    candidates: Sequence[Candidate], query: str | None, *, most: int | None = None, words: int | None = None
) -> list[int]:
    """Indices of the best candidates, best first.

    Args:
        candidates: In reading order.
        query: What they should be about; None for the document as a whole.
        most: At most so many.
        words: So many words in all, not more than one sentence over.
    """
    bags = [Counter(terms(candidate.text)) for candidate in candidates]
    rarity = _rarity(bags)
    scores = _scores(candidates, bags, rarity, query)
    return _greedy(candidates, bags, rarity, scores, most, words)


def relevance(candidates: Sequence[Candidate], query: str) -> list[float]:
    """BM25 of each candidate alone, more for one that could answer; 0.0 where it shares no content word with the query.

    What could answer: a name after *who*, a number after *how many* or *when*.
    """
    bags = [Counter(terms(candidate.text)) for candidate in candidates]
    scores = _bm25(bags, _rarity(bags), Counter(terms(query)))
    wanted = next((answer for question, answer in _ANSWERS if question.search(query)), None)
    if wanted is None:
        return scores
    asked = set(terms(query))
    return [
        score * (_COULD_ANSWER if any(not asked.intersection(terms(found)) for found in wanted.findall(text)) else 1.0)
        for score, text in zip(scores, (candidate.text for candidate in candidates), strict=True)
    ]


def _rarity(bags: Sequence[Counter[str]]) -> dict[str, float]:
    frequency = Counter(term for bag in bags for term in bag)
    return {term: math.log(1 + (len(bags) - count + 0.5) / (count + 0.5)) for term, count in frequency.items()}


def _scores(
    candidates: Sequence[Candidate], bags: Sequence[Counter[str]], rarity: dict[str, float], query: str | None
) -> list[float]:
    central = _scaled(_centrality(bags, rarity))
    total = max(1, len(candidates))
    lead = [_LEAD * (1 - candidate.place / total) for candidate in candidates]
    short = [min(1.0, sum(bag.values()) / _FULL_LENGTH) for bag in bags]
    if query is None:
        return [(c + p) * s for c, p, s in zip(central, lead, short, strict=True)]
    relevant = _scaled(_smoothed(_bm25(bags, rarity, Counter(terms(query)))))
    return [(r + _CENTRAL * c * (r > 0)) * s for r, c, s in zip(relevant, central, short, strict=True)]


def _centrality(bags: Sequence[Counter[str]], rarity: dict[str, float]) -> list[float]:
    centroid: defaultdict[str, float] = defaultdict(float)
    for bag in bags:
        for term, count in bag.items():
            centroid[term] += (1 + math.log(count)) * rarity[term]
    scores: list[float] = []
    for bag in bags:
        weights = {term: (1 + math.log(count)) * rarity[term] for term, count in bag.items()}
        norm = math.sqrt(sum(weight * weight for weight in weights.values()))
        scores.append(sum(weight * centroid[term] for term, weight in weights.items()) / norm if norm else 0.0)
    return scores


def _bm25(bags: Sequence[Counter[str]], rarity: dict[str, float], query: Counter[str]) -> list[float]:
    lengths = [sum(bag.values()) for bag in bags]
    average = sum(lengths) / len(lengths) if lengths else 0.0
    scores: list[float] = []
    for bag, length in zip(bags, lengths, strict=True):
        norm = _K1 * (1 - _B + _B * length / average) if average else _K1
        scores.append(sum(rarity[term] * bag[term] * (_K1 + 1) / (bag[term] + norm) for term in query if term in bag))
    return scores


def _smoothed(scores: Sequence[float]) -> list[float]:
    """A sentence shares in the relevance of those around it."""
    padded = [0.0, 0.0, *scores, 0.0, 0.0]
    return [
        padded[i] + _NEIGHBOUR * (padded[i - 1] + padded[i + 1]) + _NEIGHBOUR**2 * (padded[i - 2] + padded[i + 2])
        for i in range(2, len(padded) - 2)
    ]


def _scaled(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0)
    return [score / top for score in scores] if top else [0.0] * len(scores)


def _greedy(
    candidates: Sequence[Candidate],
    bags: Sequence[Counter[str]],
    rarity: dict[str, float],
    scores: Sequence[float],
    most: int | None,
    words: int | None,
) -> list[int]:
    """Take the best, then discount the terms it said, and again; scores only fall, so a heap of stale ones will do."""
    import heapq

    said: Counter[str] = Counter()
    heap = [(-score, index) for index, score in enumerate(scores) if score > 0]
    heapq.heapify(heap)
    chosen: list[int] = []
    length = 0
    while heap and (most is None or len(chosen) < most) and (words is None or length < words):
        stale, index = heapq.heappop(heap)
        fresh = scores[index] * _novelty(bags[index], rarity, said)
        if heap and fresh < -heap[0][0] and fresh < -stale:
            heapq.heappush(heap, (-fresh, index))
            continue
        size = word_count(candidates[index].text)
        if words is not None and chosen and length + size > words * 1.15:
            continue
        chosen.append(index)
        length += size
        said.update(bags[index].keys())
    return chosen


def _novelty(bag: Counter[str], rarity: dict[str, float], said: Counter[str]) -> float:
    """The share of a sentence's weight that has not been said, each repetition counting less."""
    whole = sum(rarity[term] for term in bag)
    return sum(rarity[term] * _SAID_BEFORE ** said[term] for term in bag) / whole if whole else 0.0
