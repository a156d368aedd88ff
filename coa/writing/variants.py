"""What a text spells in two ways: ``e-mail`` and ``email``, ``data base`` and ``database``, a name with a slip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from coa.retrieval.terms import terms
from coa.writing.finding import Finding
from coa.writing.thresholds import VARIANT_LETTERS

_WORD = re.compile(r"[^\W\d_]+(?:[-‐‑][^\W\d_]+)*")
_NAME = re.compile(r"(?<=[\w,;] )[A-ZÀ-Þ][^\W\d_]+")
_HYPHEN = re.compile(r"[-‐‑]")
_FREE = frozenset(["every", "some", "any", "no", "may", "over", "under"])
"""Words that mean something else apart from the next one: "every day" is not "everyday"."""


def variants(body: str) -> Iterator[Finding]:
    """Spellings that differ; a look decides which one is meant."""
    words = Counter(match[0].lower() for match in _WORD.finditer(body))
    apart = _apart(body, words)
    for word in sorted(words):
        joined = _HYPHEN.sub("", word)
        if joined != word and joined in words:
            yield _finding(word, words[word], joined, words[joined])
        if apart[word]:
            spaced, times = apart[word].most_common(1)[0]
            yield _finding(spaced, times, word, words[word])
    yield from _names(body)


def _apart(body: str, words: Counter[str]) -> dict[str, Counter[str]]:
    """For each word, how often it stands there as two."""
    found: dict[str, Counter[str]] = {word: Counter() for word in words}
    for left, right in pairwise(_WORD.finditer(body)):
        first, second = left[0].lower(), right[0].lower()
        if body[left.end() : right.start()] != " " or first in _FREE or min(len(first), len(second)) < 3:
            continue
        if first + second in words and len(first + second) >= VARIANT_LETTERS and terms(first) and terms(second):
            found[first + second][f"{first} {second}"] += 1
    return found


def _names(body: str) -> Iterator[Finding]:
    """Names that differ in one letter: the rarer one may be a slip."""
    names = Counter(match[0] for match in _NAME.finditer(body) if len(match[0]) >= VARIANT_LETTERS)
    by_gap: dict[str, list[str]] = {}
    for name in names:
        for i in range(1, len(name)):
            by_gap.setdefault(f"{name[:i]}\0{name[i + 1 :]}", []).append(name)
            by_gap.setdefault(f"{name[:i]}\0{name[i:]}", []).append(name)
    pairs = {(min(a, b), max(a, b)) for some in by_gap.values() for a, b in pairwise(sorted(set(some)))}
    for first, second in sorted(pairs):
        if first + "s" != second:
            yield _finding(first, names[first], second, names[second])


def _finding(first: str, times: int, second: str, others: int) -> Finding:
    value = f"{first} ({times}) and {second} ({others})"
    return Finding(check="variants", where="document", value=value, fails=False)
