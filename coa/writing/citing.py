"""How a text in Markdown cites: marks that lead somewhere, statements without one, sources that nothing rests on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coa.sentences import sentence_spans
from coa.writing.finding import Finding
from coa.writing.markdown import NOTE_BODY, REFERENCES, prose, unescaped, without_apparatus, without_code
from coa.writing.thresholds import CITED_WARN

_MARK = re.compile(r"\[(?:\^([^\]\s]+)|(\d+))\](?![:(])")
_LEADING_MARKS = re.compile(r"^(?:\s*\[\^?[^\]\s]+\](?![:(]))+\s*")
_TWICE = re.compile(r"(\[\^?[^\]\s]+\])\s*\1")
_ENTRY = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(.+)$|^\s*(\[\d+\]:?\s.+)$", re.MULTILINE)
_NUMBERED = re.compile(r"^\[(\d+)\]")
_CLAIM = re.compile(r"\d|(?<=[\w,;] )[A-ZÀ-Þ][\w’'-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Apparatus:
    """Notes by name, and the entries of the references; both without Markdown's backslashes."""

    notes: dict[str, str]
    entries: list[str]
    used: list[str]

    @property
    def numbered(self) -> set[str]:
        return {match[1] for entry in self.entries if (match := _NUMBERED.match(entry))}

    def cites(self, name: str) -> bool:
        """Whether a mark that is used leads to a source of this name."""
        return any(name in self.notes.get(mark, "") for mark in self.used)


def citing(markdown: str, sources: Sequence[str], measures: dict[str, float]) -> Iterator[Finding]:
    """What is wrong with the citations; nothing where a text has none and was given no sources.

    Args:
        markdown: The whole text, with its notes ``[^1]: ...`` and its references, a list under that heading.
        sources: Names of the documents that it was to be written from.
        measures: Given ``id_validity`` (marks that lead somewhere, of all) and ``citation_coverage`` (sentences with
            figures or names that carry a mark), from 0 to 1.
    """
    text = without_code(prose(without_apparatus(markdown)))
    made = _apparatus(markdown, text)
    if not (made.notes or made.entries or sources):
        return
    known = set(made.notes) | made.numbered
    if made.used:
        measures["id_validity"] = round(sum(mark in known for mark in made.used) / len(made.used), 4)
    # Notes that are not there are found with the form; here are marks of a numbered list.
    for mark in sorted({match[2] for match in _MARK.finditer(text) if match[2]} - known if made.numbered else ()):
        yield Finding(check="citations", where="document", value=f"[{mark}] leads nowhere")
    yield from _coverage(text, measures)
    yield from _sources(made, sources)
    yield from _duplicates(made, text)


def _apparatus(markdown: str, text: str) -> _Apparatus:
    listed = NOTE_BODY.sub("", markdown).partition(REFERENCES)[2]
    notes = {match[1]: unescaped(match[2]).strip() for match in NOTE_BODY.finditer(markdown)}
    entries = [unescaped(match[1] or match[2]).strip() for match in _ENTRY.finditer(listed)]
    return _Apparatus(notes=notes, entries=entries, used=[match[1] or match[2] for match in _MARK.finditer(text)])


def _coverage(text: str, measures: dict[str, float]) -> Iterator[Finding]:
    claims = [cited for paragraph in text.split("\n\n") for claim, cited in _sentences(paragraph) if claim]
    if claims:
        share = round(sum(claims) / len(claims), 4)
        measures["citation_coverage"] = share
        if share < CITED_WARN:
            yield Finding(check="citation_coverage", where="document", value=share, fails=False)


def _sentences(paragraph: str) -> list[tuple[bool, bool]]:
    """Whether each sentence has figures or names, and a mark; one behind the full stop belongs to what it ends."""
    found: list[tuple[bool, bool]] = []
    for start, end in sentence_spans(paragraph):
        sentence = paragraph[start:end]
        rest = _LEADING_MARKS.sub("", sentence)
        if found and rest != sentence:
            found[-1] = (found[-1][0], True)
        if rest.strip():
            found.append((_CLAIM.search(_MARK.sub("", rest)) is not None, _MARK.search(rest) is not None))
    return found


def _sources(made: _Apparatus, sources: Sequence[str]) -> Iterator[Finding]:
    for name in sources:
        if not made.cites(name) and not any(name in entry for entry in made.entries):
            yield Finding(check="unused_source", where=name, value="nothing in the text cites it", fails=False)
    names = [_name_of(entry) for entry in made.entries]
    for entry, name in zip(made.entries, names, strict=True):
        number = _NUMBERED.match(entry)
        if not (number[1] in made.used if number else made.cites(name)):
            yield Finding(
                check="orphan_reference", where=name[:60], value="listed, and no mark leads to it", fails=False
            )
    if made.entries and not made.numbered:
        for mark, note in made.notes.items():
            if not any(name in note for name in names):
                yield Finding(
                    check="orphan_reference", where=f"note {mark}", value="its source is not listed", fails=False
                )


def _duplicates(made: _Apparatus, text: str) -> Iterator[Finding]:
    bare = Counter(_NUMBERED.sub("", entry).strip() for entry in made.entries)
    for entry, times in bare.items():
        if times > 1:
            yield Finding(check="duplicate_reference", where=entry[:60], value=f"listed {times} times")
    for note, times in Counter(made.notes.values()).items():
        if note and times > 1:
            yield Finding(check="duplicate_note", where=note[:60], value=f"{times} notes say the same", fails=False)
    for match in _TWICE.finditer(text):
        yield Finding(check="duplicate_mark", where=match[0], value="it stands there twice in a row", fails=False)


def _name_of(entry: str) -> str:
    """What a source is called: what stands before the first colon with a blank behind it."""
    return _NUMBERED.sub("", entry).strip(": ").partition(": ")[0]
