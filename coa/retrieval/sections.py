"""Which headings a place stands under, read from the text alone: Markdown, numbered titles, chapters."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

_LINE = re.compile(
    r"^(?:(?P<marks>\#{1,6})[ \t]+(?P<title>\S[^\n]{0,118}?)[ \t]*\#*"
    r"|(?P<chapter>(?:BOOK|PART|CHAPTER|ADVENTURE|Book|Part|Chapter)[ \t]+(?:[IVXLC]+|\d{1,3})\b[^\n]{0,80})"
    r"|(?P<number>\d{1,2}(?:\.\d{1,2}){0,4})\.?[ \t]+(?P<numbered>[A-Z][^\n]{1,78}[^\n.,;:]))[ \t]*$",
    re.MULTILINE,
)
_WORDS_OF_DEPTH = {"book": 1, "part": 1, "chapter": 2, "adventure": 2}


class Sections:
    """The headings of a text; `at` gives the path of titles for a place."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []
        self._paths: list[tuple[str, ...]] = []
        stack: list[tuple[int, str]] = []
        for start, depth, title in _headings(text):
            while stack and stack[-1][0] >= depth:
                stack.pop()
            stack.append((depth, title))
            self._starts.append(start)
            self._paths.append(tuple(title for _, title in stack))

    @property
    def starts(self) -> list[int]:
        """Where the headings begin."""
        return self._starts

    def at(self, offset: int) -> tuple[str, ...]:
        """Titles of the headings that ``offset`` stands under, outermost first; a heading stands under itself."""
        found = bisect_right(self._starts, offset)
        return self._paths[found - 1] if found else ()


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """``(offset, depth, title)`` of lines that look like headings and stand between blank lines."""
    for match in _LINE.finditer(text):
        if not match["marks"] and not _alone(text, match.start(), match.end()):
            continue
        if match["marks"]:
            yield match.start(), len(match["marks"]), match["title"]
        elif match["chapter"]:
            words = match["chapter"].split()
            yield match.start(), _WORDS_OF_DEPTH[words[0].lower()], " ".join(words)
        else:
            yield match.start(), 1 + match["number"].count("."), " ".join(match[0].split())


def _alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 80) : start], text[end : end + 80]
    return _blank_edge(before[::-1]) and (_blank_edge(after) or _underline(after))


def _blank_edge(text: str) -> bool:
    return re.match(r"\n[ \t]*\n|\s*\Z", text) is not None


def _underline(after: str) -> bool:
    return re.match(r"\n[=\-~*^]{3,}[ \t]*(?:\n|\Z)", after) is not None
