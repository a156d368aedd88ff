"""Scores of one text against its gold, each between 0 and 1 and named as its benchmark names it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

_WORD = re.compile(r"[a-z0-9]+")
_CONTROL = re.compile(r"[\x00-\x1f]")
_ROUTE = re.compile(r"<Route>(.*?)</Route>", re.DOTALL)


def rouge(text: str, gold: str) -> dict[str, float]:
    """ROUGE-1, -2 and -L as F1 (Lin, 2004), tokens as the package ``rouge_score`` makes them, without a stemmer.

    ``rouge`` is their geometric mean, which the Chain-of-Agents paper reports for summaries (arXiv 2406.02818).
    """
    said, wanted = _WORD.findall(text.lower()), _WORD.findall(gold.lower())
    one, two = _grams(said, wanted, 1), _grams(said, wanted, 2)
    longest = _f1(_common(said, wanted), len(said), len(wanted))
    return {"rouge1": one, "rouge2": two, "rougeL": longest, "rouge": (one * two * longest) ** (1 / 3)}


def contained(text: str, golds: Sequence[str]) -> float:
    """RULER's recall of needles: the share of the golds that stand in the text, in any case of letters."""
    clean = _CONTROL.sub("\n", text).lower()
    return sum(gold.lower() in clean for gold in golds) / len(golds) if golds else 0.0


def route(text: str, gold: str) -> dict[str, float]:
    """LongProc's path traversal: ``exact``, and ``partial``: how far the route is right.

    As published, the first wrong line still counts for ``partial``, and lines after the last one do no harm to it.
    A text without the tags ``<Route>`` scores 0.
    """
    match = _ROUTE.search(text)
    said, wanted = _lines(match[1] if match else ""), _lines(gold)
    both = list(zip(said, wanted, strict=False))
    reached = next((place for place, (mine, theirs) in enumerate(both, 1) if mine != theirs), len(both))
    return {"exact": float(said == wanted), "partial": reached / len(wanted) if wanted else 0.0}


def code(text: str, gold: str) -> dict[str, float]:
    """Next lines of code: ``exact`` and ``edit`` as RepoBench scores them, ``code_sim`` as LongBench does.

    ``exact`` does not look at blanks. The similarities are difflib's ratio in whole percent, as ``fuzzywuzzy`` alone
    gives it (with ``Levenshtein`` installed it silently gives another). ``code_sim`` takes the first line that is no
    comment and no fence.
    """
    rows = text.lstrip("\n").split("\n")
    first = next((row for row in rows if not any(mark in row for mark in ("`", "#", "//"))), "")
    return {
        "exact": float(text.split() == gold.split()),
        "edit": _similar(text, gold),
        "code_sim": _similar(first, gold),
    }


def _similar(text: str, gold: str) -> float:
    return round(100 * SequenceMatcher(None, text, gold).ratio()) / 100


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().split("\n") if line.strip()]


def _grams(said: Sequence[str], wanted: Sequence[str], n: int) -> float:
    a, b = (Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (said, wanted))
    return _f1((a & b).total(), a.total(), b.total())


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = 0
        for place, other in enumerate(b, 1):
            before, row[place] = row[place], before + 1 if word == other else max(row[place], row[place - 1])
    return row[-1]


def _f1(common: int, said: int, wanted: int) -> float:
    return 2 * common / (said + wanted) if common else 0.0
