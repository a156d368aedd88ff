"""`check`: every automatic check of a finished Markdown text, without a judge; what it finds, and what it measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from coa.agents.replies import is_refusal
from coa.retrieval.terms import word_count
from coa.sentences import sentence_spans
from coa.writing.ledger import conflicts_in
from coa.writing.markdown import Part, faults, headings, parts, prose, without_apparatus
from coa.writing.measure import (
    COPIES_FAIL,
    REPEATS_FAIL,
    Copies,
    distinct,
    length_score,
    longwriter_count,
    loop_share,
    mentions,
    repetition,
    words_of,
)
from coa.writing.plan import Constraint, Outline, Section
from coa.writing.residue import CONTROL, ERROR, PSEUDO_HEADING

COUNTS = ("words", "longwriter")
_LENGTH_FAIL = 95.0
_REPEATS_WARN, _COPIES_WARN, _TAIL_FAIL = 0.2, 0.02, 0.5
_SAME_PARAGRAPH, _PARAGRAPH_WORDS, _SENTENCE_WORDS = 0.5, 20, 6
_ENDINGS = tuple(".!?…\"”’')]。！？」』:|`*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a text, or (``fails`` is false) that deserves a look."""

    check: str
    where: str
    value: float | str
    fails: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, and what was measured: ``words``, ``length_score``, ``distinct_1`` to ``distinct_4``, ..."""

    findings: tuple[Finding, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict[str, float])


def check(markdown: str, words: int | None = None, outline: Outline | None = None, *, count: str = "words") -> Report:
    """Check a text in Markdown.

    Args:
        markdown: The text; references and contents at its ends are not counted.
        words: The length that was asked for.
        outline: The plan that the headings should follow, and whose rules the parts should keep.
        count: ``words`` in any script, or ``longwriter`` as LongBench-Write's script counts.
    """
    text = without_apparatus(markdown)
    body = prose(text)
    counted = longwriter_count(body) if count == "longwriter" else word_count(body)
    measures = {"words": float(counted)} | {f"distinct_{n}": round(distinct(body, n), 4) for n in range(1, 5)}
    findings = [*_length(counted, words, measures), *_structure(text, markdown, outline)]
    findings += [Finding(check=name, where="document", value=what) for name, what in faults(markdown)]
    copies = Copies()
    for part in parts(text):
        findings += _of_part(part, copies)
        copies.add(prose(part.body))
    findings += _same_again(body)
    for conflict in conflicts_in((part.title, prose(part.body)) for part in parts(text)):
        values = " or ".join(fact.value for fact in conflict.facts)
        where = conflict.facts[-1].section
        what = f"{conflict.entity}: {values} {conflict.attribute}"
        findings.append(Finding(check="consistency", where=where, value=what, fails=False))
    if outline is not None and outline.series is not None:
        findings += _rules(text, outline, measures)
    return Report(findings=tuple(findings), measures=measures)


def _length(counted: int, words: int | None, measures: dict[str, float]) -> Iterator[Finding]:
    if words is None:
        return
    score = round(length_score(words, counted), 1)
    measures["length_score"] = score
    if score < _LENGTH_FAIL:
        yield Finding(check="length_score", where="document", value=score)


def _structure(text: str, markdown: str, outline: Outline | None) -> Iterator[Finding]:
    found = headings(text)
    if sum(level == 1 for level, _ in found) != 1:
        yield Finding(check="structure", where="document", value="there must be one title")
    for (before, _), (level, title) in pairwise(found):
        if level > before + 1:
            yield Finding(check="structure", where=title, value=f"level {level} follows level {before}")
    if outline is not None and (planned := _planned(outline)) != found:
        missing = [title for _, title in planned if title not in {title for _, title in found}]
        yield Finding(
            check="structure", where="document", value=f"not as planned: {', '.join(missing) or 'other order'}"
        )
    contents = re.search(r"^## Contents\n+((?:\s*[-*] .*\n)+)", markdown, re.MULTILINE)
    if contents and len(contents[1].strip().splitlines()) != sum(1 < level <= 3 for level, _ in found):
        yield Finding(check="structure", where="Contents", value="not the headings of the text")
    every = parts(text)
    for index, part in enumerate(every):
        has_children = index + 1 < len(every) and every[index + 1].level > part.level
        if part.level > 1 and not part.body.strip() and not has_children:
            yield Finding(check="structure", where=part.title, value="the section is empty")


def _planned(outline: Outline) -> list[tuple[int, str]]:
    rows: list[tuple[int, str]] = [(1, outline.title)]

    def add(sections: Sequence[Section], level: int) -> None:
        for section in sections:
            rows.append((level, section.title))
            add(section.children, level + 1)

    add(outline.sections, 2)
    return rows


def _of_part(part: Part, copies: Copies) -> Iterator[Finding]:
    body = prose(part.body)

    def found(check: str, value: float, fails: bool = True) -> Finding:
        return Finding(check=check, where=part.title, value=value, fails=fails)

    if (value := repetition(body)) > _REPEATS_WARN:
        yield found("repetition", round(value, 3), value > REPEATS_FAIL)
    if (value := loop_share(words_of(body))) > _TAIL_FAIL:
        yield found("tail_loop", round(value, 3))
    if (value := copies.share(body)) > _COPIES_WARN:
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
    paragraphs = [each for each in body.split("\n\n") if word_count(each) > _PARAGRAPH_WORDS]
    known: dict[tuple[str, ...], int] = {}
    for number, paragraph in enumerate(paragraphs):
        words = words_of(paragraph)
        grams = {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        shared = [known[gram] for gram in grams if gram in known]
        if shared and max(shared.count(other) for other in set(shared)) >= _SAME_PARAGRAPH * len(grams):
            yield Finding(check="same_paragraph", where=paragraph[:50], value="it stands there twice")
        known |= {gram: number for gram in grams if gram not in known}
    sentences: dict[str, int] = {}
    for start, end in sentence_spans(body):
        if len(words := words_of(body[start:end])) >= _SENTENCE_WORDS:
            sentences[" ".join(words)] = sentences.get(" ".join(words), 0) + 1
    for sentence, times in sentences.items():
        if times > 1:
            yield Finding(check="same_sentence", where=sentence[:50], value=f"{times} times", fails=False)


def _rules(text: str, outline: Outline, measures: dict[str, float]) -> Iterator[Finding]:
    """Completeness of a series and how many of its rules are kept (after LongGenBench's STIC), by words alone."""
    assert outline.series is not None
    blocks = {part.title: part.body for part in parts(text)}
    leaves = outline.leaves()
    there = sum(leaf.title in blocks for leaf in leaves)
    checks = [(leaf.title, rule) for leaf in leaves for rule in _rules_of(leaf)]
    standing = [(title, rule) for title, rule in checks if title in blocks]
    kept = [(title, rule) for title, rule in standing if mentions(blocks[title], rule.text) != (rule.kind == "forbid")]
    measures["completion"] = round(100 * there / len(leaves), 2)
    if checks:
        measures["stic_lex_1"] = round(100 * len(kept) / max(1, len(standing)), 2)
        measures["stic_lex_2"] = round(100 * len(kept) / len(checks), 2)
    for title, rule in standing:
        if (title, rule) not in kept:
            yield Finding(check="rule", where=title, value=f"{rule.kind}: {rule.text}")


def _rules_of(leaf: Section) -> list[Constraint]:
    musts = [Constraint(kind="once", text=text) for text in leaf.must_mention]
    return musts + [Constraint(kind="forbid", text=text) for text in leaf.never_mention]
