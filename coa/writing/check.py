"""`check`: every automatic check of a finished Markdown text, without a judge; what it finds, and what it measured."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from coa.agents.replies import is_refusal
from coa.pipelines.likeness import Measure, vectors
from coa.retrieval.terms import word_count
from coa.sentences import sentence_spans
from coa.writing.citing import citing
from coa.writing.finding import Finding
from coa.writing.follows import follows
from coa.writing.ledger import conflicts_in
from coa.writing.markdown import Part, faults, parts, prose, without_apparatus
from coa.writing.measure import Copies, distinct, length_score, longwriter_count, loop_share, repetition, words_of
from coa.writing.plan import Outline
from coa.writing.residue import CONTROL, ERROR, PSEUDO_HEADING
from coa.writing.rules import rules_kept
from coa.writing.structure import structure
from coa.writing.thresholds import (
    COPIES_FAIL,
    COPIES_WARN,
    LENGTH_FAIL,
    PARAGRAPH_WORDS,
    REPEATS_FAIL,
    REPEATS_WARN,
    SAME_PARAGRAPH,
    SENTENCE_WORDS,
    TAIL_FAIL,
    WITHIN,
)
from coa.writing.variants import variants

__all__ = ["COUNTS", "Finding", "Report", "check"]

COUNTS = ("words", "longwriter")
_ENDINGS = tuple(".!?…\"”’')]。！？」』:|`*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, and what was measured.

    Attributes:
        measures: ``words``, ``length_score``, ``distinct_1`` to ``distinct_4``, those of `coa.writing.citing`, and with
            a plan those of `coa.writing.follows` and `coa.writing.rules` and ``within_10pct``.
        likeness: What likeness to the plan was measured with: ``lexical`` (rare words) or an embedder's name; empty
            without a plan.
    """

    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    likeness: str = ""


def check(
    markdown: str,
    words: int | None = None,
    outline: Outline | None = None,
    *,
    count: str = "words",
    sources: Sequence[str] = (),
    measure: Measure | None = None,
    likeness: str = "given",
) -> Report:
    """Check a text in Markdown.

    Args:
        markdown: The text; references and contents at its ends are not counted.
        words: The length that was asked for.
        outline: The plan that the headings should follow, and whose goals, points and rules the parts should keep.
        count: ``words`` in any script, or ``longwriter`` as LongBench-Write's script counts.
        sources: Names of the documents that it was to be written from.
        measure: Measures likeness to the plan; without one, rare words do.
        likeness: What ``measure`` is called.
    """
    text = without_apparatus(markdown)
    body = prose(text)
    counted = longwriter_count(body) if count == "longwriter" else word_count(body)
    measures = {"words": float(counted)} | {f"distinct_{n}": round(distinct(body, n), 4) for n in range(1, 5)}
    findings = [*_length(counted, words, measures), *structure(text, markdown, outline)]
    findings += [Finding(check=name, where="document", value=what) for name, what in faults(markdown)]
    copies = Copies()
    for part in parts(text):
        findings += _of_part(part, copies)
        copies.add(prose(part.body))
    findings += [*_same_again(body), *_conflicts(text), *variants(body), *citing(markdown, sources, measures)]
    if outline is not None:
        findings += _planned(text, outline, measure or vectors, measures)
    named = (likeness if measure else "lexical") if outline is not None else ""
    return Report(findings=tuple(findings), measures=measures, likeness=named)


def _planned(text: str, outline: Outline, measure: Measure, measures: dict[str, float]) -> Iterator[Finding]:
    targets = {leaf.title: leaf.words for leaf in outline.leaves()}
    there = {part.title: word_count(prose(part.body)) for part in parts(text) if part.title in targets}
    within = [abs(there.get(title, 0) / words - 1) <= WITHIN for title, words in targets.items()]
    measures["within_10pct"] = round(sum(within) / len(within), 4)
    yield from follows(text, outline, measure, measures)
    if outline.series is not None or any(leaf.must_mention or leaf.never_mention for leaf in outline.leaves()):
        yield from rules_kept(text, outline, measures)


def _conflicts(text: str) -> Iterator[Finding]:
    for conflict in conflicts_in((part.title, prose(part.body)) for part in parts(text)):
        values = " or ".join(fact.value for fact in conflict.facts)
        what = f"{conflict.entity}: {values} {conflict.attribute}"
        yield Finding(check="consistency", where=conflict.facts[-1].section, value=what, fails=False)


def _length(counted: int, words: int | None, measures: dict[str, float]) -> Iterator[Finding]:
    if words is None:
        return
    score = round(length_score(words, counted), 1)
    measures["length_score"] = score
    if score < LENGTH_FAIL:
        yield Finding(check="length_score", where="document", value=score)


def _of_part(part: Part, copies: Copies) -> Iterator[Finding]:
    body = prose(part.body)

    def found(check: str, value: float, fails: bool = True) -> Finding:
        return Finding(check=check, where=part.title, value=value, fails=fails)

    if (value := repetition(body)) > REPEATS_WARN:
        yield found("repetition", round(value, 3), value > REPEATS_FAIL)
    if (value := loop_share(words_of(body))) > TAIL_FAIL:
        yield found("tail_loop", round(value, 3))
    if (value := copies.share(body)) > COPIES_WARN:
        yield found("copied", round(value, 3), value > COPIES_FAIL)
    yield from _residue(part, body)


def _residue(part: Part, body: str) -> Iterator[Finding]:
    """What is no content: marks of prompts, refusals, errors, headings that are none, a sentence cut off."""

    def found(check: str, value: str, fails: bool = True) -> Finding:
        return Finding(check=check, where=part.title, value=value, fails=fails)

    if match := CONTROL.search(body):
        yield found("residue", match[0])
    for paragraph in body.split("\n\n"):
        if PSEUDO_HEADING.match(paragraph.strip()):
            yield found("pseudo_heading", paragraph.strip(), False)
        if is_refusal(paragraph.strip()):
            yield found("refusal", paragraph.strip()[:60])
        if ERROR.match(paragraph):
            yield found("error_string", paragraph.strip()[:60])
    if _is_cut(body):
        yield found("truncation", body.rstrip()[-40:])


def _is_cut(body: str) -> bool:
    text = re.sub(r"(?:\s*\[(?:\^?\d+|needs source)\])+$", ".", body.rstrip())
    return bool(text) and not text.endswith(_ENDINGS) and not text.splitlines()[-1].lstrip().startswith(("|", "-", "#"))


def _same_again(body: str) -> Iterator[Finding]:
    """Paragraphs and sentences that come twice."""
    paragraphs = [each for each in body.split("\n\n") if word_count(each) > PARAGRAPH_WORDS]
    known: dict[tuple[str, ...], list[int]] = {}
    sizes: list[int] = []
    for number, paragraph in enumerate(paragraphs):
        words = words_of(paragraph)
        grams = {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        sizes.append(len(grams))
        shared = Counter(other for gram in grams for other in known.get(gram, ()))
        if any(times >= SAME_PARAGRAPH * min(len(grams), sizes[other]) for other, times in shared.items()):
            yield Finding(check="same_paragraph", where=paragraph[:50], value="it stands there twice")
        for gram in grams:
            known.setdefault(gram, []).append(number)
    sentences: dict[str, int] = {}
    for start, end in sentence_spans(body):
        if len(words := words_of(body[start:end])) >= SENTENCE_WORDS:
            sentences[" ".join(words)] = sentences.get(" ".join(words), 0) + 1
    for sentence, times in sentences.items():
        if times > 1:
            yield Finding(check="same_sentence", where=sentence[:50], value=f"{times} times", fails=False)
