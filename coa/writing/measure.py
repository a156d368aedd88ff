"""What can be measured of a text without a judge: length, repetition, copies, cuts, refusals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coa.retrieval.terms import word_count

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_CONTROL = re.compile(r"<\|[a-z_]+\|>|\$(?:STEP|PLAN|TEXT|INST)\$|\{\{")
_ENDINGS = tuple(".!?…\"”')]。！？」』:|`*")
WINDOW, STEP = 300, 100
REPEATS_FAIL, COPIES_FAIL = 0.3, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a text."""

    check: str
    where: str
    value: float | str


def length_score(asked: int, written: int) -> float:
    """S_l of LongBench-Write (arXiv 2408.07055, section 2.2), from 0 to 100; an empty text scores 0."""
    if written == 0:
        return 0.0
    if written > asked:
        return 100 * max(0.0, 1 - (written / asked - 1) / 3)
    return 100 * max(0.0, 1 - (asked / written - 1) / 2)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, as repetition is counted."""
    return _WORD.findall(text.lower())


def repetition(text: str, n: int = 4) -> float:
    """The largest share of repeated n-grams in any 300 words: clean prose stays below 0.2."""
    words = words_of(text)
    return max(
        (_repeated(words[i : i + WINDOW], n) for i in range(0, max(1, len(words) - WINDOW + 1), STEP)), default=0
    )


def copied(text: str, before: Iterable[str], n: int = 8) -> float:
    """The share of the text's 8-grams that stand in earlier texts already."""
    own = _grams(words_of(text), n)
    if not own:
        return 0.0
    known = {gram for other in before for gram in _grams(words_of(other), n)}
    return sum(gram in known for gram in own) / len(own)


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


def check(markdown: str, words: int | None = None) -> list[Finding]:
    """All checks of a finished Markdown text; an empty list when nothing is wrong."""
    findings: list[Finding] = []
    markdown = _without_references(markdown)
    if words is not None and (score := length_score(words, word_count(_HEADING.sub("", markdown)))) < 95:
        findings.append(Finding(check="length_score", where="document", value=round(score, 1)))
    sections = _sections(markdown)
    if sum(line.startswith("# ") for line in markdown.splitlines()) != 1:
        findings.append(Finding(check="structure", where="document", value="there must be one title"))
    before: list[str] = []
    for title, level, body in sections:
        findings += [Finding(check=name, where=title, value=value) for name, value in _wrong(body, before)]
        if level > 1 and not body.strip() and not _has_children(title, sections):
            findings.append(Finding(check="structure", where=title, value="the section is empty"))
        before.append(body)
    return findings


def _wrong(body: str, before: Sequence[str]) -> Iterable[tuple[str, float | str]]:
    if (value := repetition(body)) > REPEATS_FAIL:
        yield "repetition", round(value, 3)
    if (value := copied(body, before)) > COPIES_FAIL:
        yield "copied", round(value, 3)
    if match := _CONTROL.search(body):
        yield "residue", match[0]
    prose = body.rstrip()
    if prose and not prose.endswith(_ENDINGS) and not prose.splitlines()[-1].lstrip().startswith(("|", "-", "#", "[")):
        yield "truncation", prose[-40:]


def _without_references(markdown: str) -> str:
    """References quote the sources: they are neither the text nor copies in it."""
    return markdown.partition("\n## References\n")[0]


def _sections(markdown: str) -> list[tuple[str, int, str]]:
    matches = list(_HEADING.finditer(markdown))
    ends = [match.start() for match in matches[1:]] + [len(markdown)]
    return [
        (match[1], len(match[0]) - len(match[0].lstrip("#")), markdown[match.end() : end])
        for match, end in zip(matches, ends, strict=True)
    ]


def _has_children(title: str, sections: Sequence[tuple[str, int, str]]) -> bool:
    index = next(i for i, section in enumerate(sections) if section[0] == title)
    return index + 1 < len(sections) and sections[index + 1][1] > sections[index][1]


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def _repeated(words: Sequence[str], n: int) -> float:
    grams = _grams(words, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
