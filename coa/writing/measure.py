"""What can be measured of a text without a judge: length, repetition, copies, what it mentions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from coa.retrieval.terms import terms
from coa.writing.thresholds import REPEATS_FAIL

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_HAN, _PLAIN_WORD = re.compile(r"[\u4e00-\u9fff]"), re.compile(r"\b[a-zA-Z]+\b")
WINDOW, STEP = 300, 100


def longwriter_count(text: str) -> int:
    """Words as LongBench-Write's own script counts them: Chinese characters and runs of plain Latin letters.

    Cyrillic, Korean and digits count as nothing there, and accents cut words: to compare with published scores only.
    """
    return len(_HAN.findall(text)) + len(_PLAIN_WORD.findall(text))


def length_score(asked: int, written: int) -> float:
    """S_l of LongBench-Write (arXiv 2408.07055, section 2.2), from 0 to 100; an empty text scores 0."""
    if written == 0:
        return 0.0
    if written > asked:
        return 100 * max(0.0, 1 - (written / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / written - 1) / 2)


def distinct(text: str, n: int, window: int = 1_000) -> float:
    """Mean share of distinct n-grams in windows of 1,000 words; it falls with length, hence the fixed window."""
    words = words_of(text)
    starts = range(0, max(1, len(words) - window + 1), window)
    shares = [1 - _repeated(words[i : i + window], n) for i in starts]
    return sum(shares) / len(shares)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, as repetition is counted."""
    return WORD.findall(text.lower())


def repetition(text: str, n: int = 4) -> float:
    """The largest share of repeated n-grams in any 300 words: clean prose stays below 0.2."""
    words = words_of(text)
    return max(
        (_repeated(words[i : i + WINDOW], n) for i in range(0, max(1, len(words) - WINDOW + 1), STEP)), default=0
    )


def copied(text: str, before: Iterable[str], n: int = 8) -> float:
    """The share of the text's 8-grams that stand in earlier texts already."""
    copies = Copies(n)
    for other in before:
        copies.add(other)
    return copies.share(text)


class Copies:
    """The n-grams of all texts so far: a long document is read once, and not again for each of its parts."""

    def __init__(self, n: int = 8) -> None:
        self._n = n
        self._known: set[tuple[str, ...]] = set()

    def share(self, text: str) -> float:
        """The share of a text's n-grams that stand in the texts so far."""
        own = _grams(words_of(text), self._n)
        return sum(gram in self._known for gram in own) / len(own) if own else 0.0

    def add(self, text: str) -> None:
        """One more text."""
        self._known.update(_grams(words_of(text), self._n))


def loop_share(words: Sequence[str], n: int = 4) -> float:
    """The share of repeated n-grams in the last 300 words: how much a text goes round in circles at its end."""
    return _repeated(words[-WINDOW:], n)


def without_copies(text: str, before: Iterable[str], n: int = 8) -> str:
    """The text without the sentences that stand in earlier texts already."""
    from coa.sentences import sentence_spans

    known = {gram for other in before for gram in _grams(words_of(other), n)}
    paragraphs: list[str] = []
    for paragraph in text.split("\n\n"):
        sentences = [paragraph[start:end] for start, end in sentence_spans(paragraph)]
        fresh = [sentence for sentence in sentences if not _known(words_of(sentence), known, n)]
        paragraphs.append(" ".join(fresh))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def mentions(text: str, phrase: str) -> bool:
    """Whether a text holds a phrase, or all its words that carry meaning (lexical: synonyms do not count)."""
    wanted = set(terms(phrase))
    return " ".join(words_of(phrase)) in " ".join(words_of(text)) or (bool(wanted) and wanted <= set(terms(text)))


def cut_at_loop(text: str) -> str:
    """The text up to where it begins to repeat itself: whole sentences only."""
    from coa.sentences import sentence_spans

    kept = 0
    seen: Counter[str] = Counter()
    for start, end in sentence_spans(text):
        key = " ".join(words_of(text[start:end]))
        seen[key] += 1
        if (seen[key] > 1 and len(key.split()) > 3) or repetition(text[:end]) > REPEATS_FAIL:
            break
        kept = end
    return text[:kept]


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _known(words: Sequence[str], known: set[tuple[str, ...]], n: int) -> bool:
    grams = _grams(words, n)
    return bool(grams) and sum(gram in known for gram in grams) > len(grams) / 2


def _repeated(words: Sequence[str], n: int) -> float:
    grams = _grams(words, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
