"""Which sentences matter: centrality, relevance to a query, little chatter, and no two that say the same.

Centrality is the likeness to the centroid of all sentences (Radev et al., 2004), with roots that keep a few frequent
terms and the shortest sentences from winning; relevance is BM25 (Robertson and Zaragoza, 2009), shared with the
neighbours of a sentence, because an answer often stands beside the words of its question; the choice is greedy and
discounts what has been said (maximal marginal relevance, Carbonell and Goldstein, 1998). The constants were chosen on
meetings of QMSum's training part; ``benchmarks/offline`` measures on others.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from coa.retrieval.terms import chatter, terms, word_count

_K1, _B = 1.2, 0.75
_NEIGHBOUR = 0.3
_ADJACENT = 60
_CENTRAL = 0.5
_LENGTH = 0.85
_ALIKE = 15.0
_OVER = 1.15
_SAID_BEFORE = 0.1
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence that may be chosen: its text, and where it begins and ends, in characters of what is read."""

    text: str
    start: int
    end: int


def importance(
    candidates: Sequence[Candidate], query: str | None, likeness: Sequence[float] | None = None
) -> list[float]:
    """How much each candidate belongs into a summary: of the whole, from 0 to 1, or of what ``query`` asks, in BM25.

    Scores of one part of a document can be compared with those of another.

    Args:
        candidates: In reading order.
        query: What they should be about; None for the document as a whole.
        likeness: Cosine of each candidate's embedding with the query's, where there are embeddings.
    """
    bags = [Counter(terms(candidate.text)) for candidate in candidates]
    rarity = _rarity(bags)
    central = _scaled(_centrality(bags, rarity))
    substance = [1 - chatter(candidate.text) for candidate in candidates]
    if query is None:
        return [c * s for c, s in zip(central, substance, strict=True)]
    words = _shared(_bm25(bags, rarity, Counter(terms(query))), candidates)
    relevant = _with_likeness(words, candidates, likeness)
    weight = _CENTRAL * max(relevant, default=0.0)
    return [(r + weight * c * (r > 0)) * s for r, c, s in zip(relevant, central, substance, strict=True)]


def relevance(candidates: Sequence[Candidate], query: str, likeness: Sequence[float] | None = None) -> list[float]:
    """BM25 of each candidate alone, more for one that could answer; 0.0 where it shares no content word with the query.

    What could answer: a name after *who*, a number after *how many* or *when*.
    """
    bags = [Counter(terms(candidate.text)) for candidate in candidates]
    scores = _with_likeness(_bm25(bags, _rarity(bags), Counter(terms(query))), candidates, likeness)
    wanted = next((answer for question, answer in _ANSWERS if question.search(query)), None)
    if wanted is None:
        return scores
    asked = set(terms(query))
    return [
        score * (_COULD_ANSWER if any(not asked.intersection(terms(found)) for found in wanted.findall(text)) else 1.0)
        for score, text in zip(scores, (candidate.text for candidate in candidates), strict=True)
    ]


def diverse(
    candidates: Sequence[Candidate], scores: Sequence[float], *, most: int | None = None, words: int | None = None
) -> list[int]:
    """Indices of the best candidates that do not repeat each other, best first.

    Takes the best, discounts the terms it said, and again; scores only fall, so a heap of stale ones will do.

    Args:
        candidates: In reading order.
        scores: One for each; what has none above zero is not taken.
        most: At most so many.
        words: So many words in all, not more than one sentence over.
    """
    bags = [Counter(terms(candidate.text)) for candidate in candidates]
    rarity = _rarity(bags)
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
        if words is not None and chosen and length + size > words * _OVER:
            continue
        chosen.append(index)
        length += size
        said.update(bags[index].keys())
    return chosen


def _rarity(bags: Sequence[Counter[str]]) -> dict[str, float]:
    frequency = Counter(term for bag in bags for term in bag)
    return {term: math.log(1 + (len(bags) - count + 0.5) / (count + 0.5)) for term, count in frequency.items()}


def _centrality(bags: Sequence[Counter[str]], rarity: dict[str, float]) -> list[float]:
    weights = [{term: (1 + math.log(count)) * rarity[term] for term, count in bag.items()} for bag in bags]
    centroid: defaultdict[str, float] = defaultdict(float)
    for bag in weights:
        for term, weight in bag.items():
            centroid[term] += weight
    common = {term: math.sqrt(weight) for term, weight in centroid.items()}
    scores: list[float] = []
    for bag in weights:
        norm = math.sqrt(sum(weight * weight for weight in bag.values())) ** _LENGTH
        scores.append(sum(weight * common[term] for term, weight in bag.items()) / norm if norm else 0.0)
    return scores


def _bm25(bags: Sequence[Counter[str]], rarity: dict[str, float], query: Counter[str]) -> list[float]:
    lengths = [sum(bag.values()) for bag in bags]
    average = sum(lengths) / len(lengths) if lengths else 0.0
    scores: list[float] = []
    for bag, length in zip(bags, lengths, strict=True):
        norm = _K1 * (1 - _B + _B * length / average) if average else _K1
        scores.append(sum(rarity[term] * bag[term] * (_K1 + 1) / (bag[term] + norm) for term in query if term in bag))
    return scores


def _shared(scores: Sequence[float], candidates: Sequence[Candidate]) -> list[float]:
    """A sentence shares in the relevance of those beside it, and half as directly in that of their neighbours."""
    shared = list(scores)
    for distance in (1, 2):
        for i in range(len(scores) - distance):
            j = i + distance
            if candidates[j].start - candidates[j - 1].end > _ADJACENT:
                continue
            if distance == 2 and candidates[i + 1].start - candidates[i].end > _ADJACENT:
                continue
            shared[i] += _NEIGHBOUR**distance * scores[j]
            shared[j] += _NEIGHBOUR**distance * scores[i]
    return shared


def _with_likeness(
    scores: Sequence[float], candidates: Sequence[Candidate], likeness: Sequence[float] | None
) -> list[float]:
    if likeness is None:
        return list(scores)
    alike = _shared([max(0.0, value) for value in likeness], candidates)
    return [score + _ALIKE * value for score, value in zip(scores, alike, strict=True)]


def _scaled(scores: Sequence[float]) -> list[float]:
    top = max(scores, default=0.0)
    return [score / top for score in scores] if top else [0.0] * len(scores)


def _novelty(bag: Counter[str], rarity: dict[str, float], said: Counter[str]) -> float:
    """The share of a sentence's weight that has not been said, each repetition counting less."""
    whole = sum(rarity[term] for term in bag)
    return sum(rarity[term] * _SAID_BEFORE ** said[term] for term in bag) / whole if whole else 0.0
