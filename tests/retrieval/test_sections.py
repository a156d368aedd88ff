"""Headings as people write them, and lines that only look like headings."""

from __future__ import annotations

from coa.retrieval.sections import Sections

MARKDOWN = "# Book\n\nintro\n\n## First ##\nbody\n\n### Deep\n\nmore\n\n## Second\n\nend"
NUMBERED = "1. Scope\n========\n\ntext\n\n1.2. Terms\n----------\n\nmore\n\n2. Archive\n\nend\n"
NOVEL = "CHAPTER 1. Loomings.\n\nCall me.\n\nCHAPTER 2. The Bag.\n\nI stuffed a shirt.\n"
PLAIN = "There were 3 Ships in sight,\n2. and Bob said\nChapter 4 was dull, he thought.\n\n10 Men stood there.\n"


def path(text: str, words: str) -> tuple[str, ...]:
    return Sections(text).at(text.index(words))


def test_markdown() -> None:
    assert path(MARKDOWN, "intro") == ("Book",)
    assert path(MARKDOWN, "body") == ("Book", "First")
    assert path(MARKDOWN, "more") == ("Book", "First", "Deep")
    assert path(MARKDOWN, "end") == ("Book", "Second")


def test_numbers() -> None:
    assert path(NUMBERED, "text") == ("1. Scope",)
    assert path(NUMBERED, "more") == ("1. Scope", "1.2. Terms")
    assert path(NUMBERED, "end") == ("2. Archive",)


def test_chapters() -> None:
    assert path(NOVEL, "Call me") == ("CHAPTER 1. Loomings.",)
    assert path(NOVEL, "shirt") == ("CHAPTER 2. The Bag.",)


def test_lines_in_a_paragraph_are_no_headings() -> None:
    assert Sections(PLAIN).starts == []
