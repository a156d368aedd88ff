"""Quotes in a model's text, checked against the text they claim to come from.

A worker marks new evidence as ``[[exact words]]``. `bind` looks each quote up in the passage, gives those that stand
there a marker and a span, and drops the rest: what a model made up never becomes a citation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from coa.types import Evidence, Notes, Passage, Span

_QUOTE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_STRAY = re.compile(r"\[\[|\]\]")
_SPACE_BEFORE_STOP = re.compile(r"[ \t]+([.,;:!?])")
_EDGES = "\"'“”‘’«» \t\r\n…."
_MIN_CHARS = 4
_ALIKE = {"'": "['‘’]", "‘": "['‘’]", "’": "['‘’]", '"': '["“”]', "“": '["“”]', "”": '["“”]', "-": "[-–—]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Notes whose quotes are verified, and how many quotes and markers were dropped because they were not."""

    notes: Notes
    dropped: int


def marker_pattern(tag: str) -> re.Pattern[str]:
    """Matches ``[kqz3]`` and ``[kqz3, kqz5]`` for the tag ``kqz``."""
    one = rf"{tag}\d+"
    return re.compile(rf"\[\s*{one}(?:\s*[,;]\s*{one})*\s*\]")


def markers_in(match: str, tag: str) -> list[str]:
    """The markers inside one match of `marker_pattern`."""
    return re.findall(rf"{tag}\d+", match)


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Where a quote stands in a text, to the letter but for blanks, line breaks and the shape of quotation marks.

    Returns:
        ``(start, end)`` in characters of ``text``, or None.
    """
    for wording in (quote.strip(), quote.strip(_EDGES)):
        if len(wording) < _MIN_CHARS:
            continue
        if (start := text.find(wording)) >= 0:
            return start, start + len(wording)
        if match := re.search(_tolerant(wording), text):
            return match.span()
    return None


def _tolerant(wording: str) -> str:
    words = ("".join(_ALIKE.get(char) or re.escape(char) for char in word) for word in wording.split())
    return r"\s+".join(words)


def bind(reply: str, *, passage: Passage, notes: Notes, tag: str) -> Bound:
    """Turn a worker's reply into notes: verify new quotes, keep known markers, drop everything else in brackets."""
    known = {evidence.marker: evidence for evidence in notes.evidence}
    issued = notes.issued
    dropped = 0

    def take(match: re.Match[str]) -> str:
        nonlocal issued, dropped
        found = find_quote(passage.text, match[1])
        if found is None:
            dropped += 1
            return ""
        issued += 1
        evidence = _evidence(f"{tag}{issued}", passage, *found)
        known[evidence.marker] = evidence
        return f"[{evidence.marker}]"

    before = set(known)
    text, unknown = _only_known(reply, before, tag)
    text = _STRAY.sub("", _QUOTE.sub(take, text))
    used = {marker for match in marker_pattern(tag).findall(text) for marker in markers_in(match, tag)}
    kept = tuple(evidence for evidence in known.values() if evidence.marker in used)
    text = _SPACE_BEFORE_STOP.sub(r"\1", text).strip()
    return Bound(notes=replace(notes, text=text, evidence=kept, issued=issued), dropped=dropped + unknown)


def _evidence(marker: str, passage: Passage, start: int, end: int) -> Evidence:
    offset = passage.span.start
    span = Span(doc=passage.span.doc, start=offset + start, end=offset + end)
    return Evidence(marker=marker, span=span, quote=passage.text[start:end])


def _only_known(text: str, known: set[str], tag: str) -> tuple[str, int]:
    """Remove markers that were never given out; return the text and how many there were."""
    dropped = 0

    def keep(match: re.Match[str]) -> str:
        nonlocal dropped
        markers = markers_in(match[0], tag)
        good = [marker for marker in markers if marker in known]
        dropped += len(markers) - len(good)
        return "".join(f"[{marker}]" for marker in good)

    return marker_pattern(tag).sub(keep, text), dropped
