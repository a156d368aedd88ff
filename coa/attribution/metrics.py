"""How good the citations of an answer are: the measures of ALCE, L-CiteEval and SummHay.

Two ways of reading a citation. ``strict`` is what a reader means: ``[0]`` and ``[9]`` of four passages cite nothing and
count as wrong, ``[2-4]`` cites three, a passage cited twice counts once. ``compatible`` repeats the published scripts,
faults included, so that figures can be put beside published ones: ``[0]`` is scored as the last passage, a sentence
with a number out of range leaves precision's denominator, and only the first three numbers of a sentence count.

Sources: Gao et al. 2023 (ALCE); Tang et al. 2024 (L-CiteEval); Laban et al. 2024 (SummHay).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from coa.retrieval.terms import terms
from coa.sentences import sentence_spans

Entails = Callable[[str, str], bool]
"""``entails(premise, hypothesis)``: see `coa.attribution.entailment`, or ``holds_the_words``."""
Mode = Literal["strict", "compatible"]

_PUBLISHED_REFERENCE = re.compile(r"\[(\d+)")
_PUBLISHED_LIMIT = 3
_GROUP = re.compile(r"\[(\d{1,9}(?:\s*[-–,;]\s*\d{1,9})*)\]")
_RANGE = re.compile(r"(\d+)\s*[-–]\s*(\d+)|(\d+)")
_LONGEST_RANGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationScores:
    """Shares from 0 to 1, and the counts behind them."""

    recall: float
    precision: float
    sentences: int
    references: int

    @property
    def f1(self) -> float:
        """The harmonic mean of recall and precision."""
        return _f1(self.recall, self.precision)


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One thing a summary had to say: how far its best bullet says it (1, 0.5 or 0), and which ids should be cited."""

    coverage: float
    bullet: str
    gold: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SummHayScores:
    """``citation`` is averaged over the covered insights only, the two others over all."""

    coverage: float
    citation: float
    joint: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    supported: bool
    precise: int
    references: int


def references(sentence: str) -> list[int]:
    """The numbers that a sentence cites, in order and once each: ``[1]``, ``[1, 3]``, ``[2-4]``; in range or not."""
    found: list[int] = []
    for group in _GROUP.finditer(sentence):
        for match in _RANGE.finditer(group[1]):
            first, last = int(match[1] or match[3]), int(match[2] or match[3])
            found += range(first, last + 1) if 0 <= last - first < _LONGEST_RANGE else (first, last)
    return list(dict.fromkeys(found))


def without_references(sentence: str) -> str:
    """The sentence as a claim: its citation marks taken out."""
    return re.sub(r"\s+(?=[.,;:!?]|$)", "", _GROUP.sub("", sentence)).strip()


def sentences_with_references(text: str) -> list[str]:
    """The sentences of an answer; marks that stand behind the full stop stay with the sentence they belong to."""
    found: list[str] = []
    for start, end in sentence_spans(text):
        marks = re.match(rf"(?:\s*{_GROUP.pattern})+\s*[.,;]?", text[start:end])
        cut = start + (marks.end() if marks and found else 0)
        if cut > start:
            found[-1] += " " + text[start:cut].strip()
        if text[cut:end].strip():
            found.append(text[cut:end].strip())
    return found


def holds_the_words(premise: str, hypothesis: str) -> bool:
    """A proxy that needs no model: every term of the hypothesis stands in the premise. It is not entailment."""
    claimed = frozenset(terms(hypothesis))
    return bool(claimed) and claimed <= frozenset(terms(premise))


def citation_scores(
    answer: str | Sequence[str], passages: Sequence[str], entails: Entails, *, mode: Mode = "strict"
) -> CitationScores:
    """Citation recall and precision of one answer (ALCE; L-CiteEval uses the same with another NLI model).

    A sentence is supported when the passages it cites entail it together. A citation is precise when its sentence is
    supported and the passage entails it alone, or the others do not entail it without this one.

    Args:
        answer: A text, or its sentences already parted. Numbers count from 1.
        passages: What was cited; passage 1 is ``passages[0]``.
        entails: Called once for a sentence and at most twice more for each of its citations.
        mode: See the module.

    Returns:
        Zeros where there is no sentence; precision 0 where nothing is cited.
    """
    sentences = sentences_with_references(answer) if isinstance(answer, str) else list(answer)
    judge = _strict if mode == "strict" else _compatible
    judged = [judge(sentence, passages, entails) for sentence in sentences]
    cited = sum(one.references for one in judged)
    return CitationScores(
        recall=sum(one.supported for one in judged) / len(judged) if judged else 0.0,
        precision=sum(one.precise for one in judged) / cited if cited else 0.0,
        sentences=len(judged),
        references=cited,
    )


def mean_f1(scores: Collection[CitationScores]) -> float:
    """F1 of each answer first, then the mean: the order in which L-CiteEval takes them."""
    return fmean(score.f1 for score in scores) if scores else 0.0


def set_scores(cited: Collection[int], gold: Collection[int]) -> tuple[float, float, float]:
    """Precision, recall and F1 of a set of cited ids against the right ones; two empty sets agree."""
    if not cited and not gold:
        return 1.0, 1.0, 1.0
    right = len(set(cited) & set(gold))
    precision = right / len(set(cited)) if cited else 0.0
    recall = right / len(set(gold)) if gold else 0.0
    return precision, recall, _f1(precision, recall)


def summhay_scores(insights: Sequence[Insight]) -> SummHayScores:
    """Coverage, citation and joint score of a summary against its reference insights (SummHay)."""
    if not insights:
        return SummHayScores(coverage=0.0, citation=0.0, joint=0.0)
    quality = [set_scores(references(insight.bullet), insight.gold)[2] for insight in insights]
    covered = [f1 for f1, insight in zip(quality, insights, strict=True) if insight.coverage > 0]
    return SummHayScores(
        coverage=fmean(insight.coverage for insight in insights),
        citation=fmean(covered) if covered else 0.0,
        joint=fmean(insight.coverage * f1 for f1, insight in zip(quality, insights, strict=True)),
    )


def pairs_to_judge(
    answer: str | Sequence[str], passages: Sequence[str], *, mode: Mode = "strict"
) -> list[tuple[str, str]]:
    """Every (premise, hypothesis) that `citation_scores` may ask about: for judges that are asked all at once."""
    sentences = sentences_with_references(answer) if isinstance(answer, str) else list(answer)
    pairs: list[tuple[str, str]] = []
    for sentence in sentences:
        cited = _cited_strictly(sentence, passages) if mode == "strict" else _cited_compatibly(sentence, passages)
        premises = ["\n".join(cited)] if cited else []
        if len(cited or ()) > 1:
            premises += [*cited, *(_others(cited, i) for i in range(len(cited)))]
        pairs += [(premise, without_references(sentence)) for premise in premises]
    return list(dict.fromkeys(pairs))


def _cited_strictly(sentence: str, passages: Sequence[str]) -> list[str]:
    return [passages[number - 1] for number in references(sentence) if 1 <= number <= len(passages)]


def _cited_compatibly(sentence: str, passages: Sequence[str]) -> list[str]:
    """The passages as the published scripts take them; none where a number is out of range."""
    indices = [int(number) - 1 for number in _PUBLISHED_REFERENCE.findall(sentence)]
    if any(index >= len(passages) for index in indices):
        return []
    return [passages[index] for index in indices[:_PUBLISHED_LIMIT]]


def _others(cited: Sequence[str], i: int) -> str:
    return "\n".join((*cited[:i], *cited[i + 1 :]))


def _strict(sentence: str, passages: Sequence[str], entails: Entails) -> _Judged:
    cited = references(sentence)
    valid = _cited_strictly(sentence, passages)
    claim = without_references(sentence)
    supported = bool(valid) and entails("\n".join(valid), claim)
    precise = _precise(valid, claim, entails) if supported else 0
    return _Judged(supported=supported, precise=precise, references=len(cited))


def _compatible(sentence: str, passages: Sequence[str], entails: Entails) -> _Judged:
    cited = _cited_compatibly(sentence, passages)
    if not cited:
        return _Judged(supported=False, precise=0, references=0)
    claim = without_references(sentence)
    supported = entails("\n".join(cited), claim)
    return _Judged(
        supported=supported, precise=_precise(cited, claim, entails) if supported else 0, references=len(cited)
    )


def _precise(cited: Sequence[str], claim: str, entails: Entails) -> int:
    """How many of the passages behind a supported claim are needed, or enough by themselves."""
    if len(cited) == 1:
        return 1
    return sum(entails(passage, claim) or not entails(_others(cited, i), claim) for i, passage in enumerate(cited))


def _f1(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0
