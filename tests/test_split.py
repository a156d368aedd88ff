import math
from itertools import pairwise
from pathlib import Path

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from coa.documents import load
from coa.errors import UsageError
from coa.split import split, split_text
from coa.tokens import EstimateCounter


class Words:
    """Counts words and stops: enough to see every boundary."""

    label, margin = "words", 0.0

    def count(self, text: str) -> int:
        return len(regex.findall(r"\w+|[^\w\s]", text)) or int(bool(text))


class Bytes:
    label, margin = "bytes", 0.0

    def count(self, text: str) -> int:
        return len(text.encode())


def texts_of(text: str, budget: int, counter=None) -> list[str]:
    return [text[start:end] for start, end, _ in split_text(text, budget, counter or Words())]


def test_paragraphs_win_over_sentences_and_sentences_over_words():
    paragraph = "One two three four five six. Seven eight nine ten. "
    text = (paragraph * 30 + "\n\n") * 12
    pieces = texts_of(text, 120)
    assert "".join(pieces) == text
    assert all(piece.rstrip().endswith(".") for piece in pieces)


@pytest.mark.parametrize("budget", [7, 100, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "字" * 5000,
        "ภาษาไทยไม่มีช่องว่าง" * 200,
        "👩‍👩‍👧‍👦" * 300,
        "e\u0301" * 2000,
        "x" * 20_000,
        "a\r\n" * 3000,
        " " * 5000,
        "\n" * 5000 + "end",
    ],
    ids=["chinese", "thai", "families", "accents", "one word", "crlf", "blanks", "newlines"],
)
def test_any_script_is_covered_within_the_budget_and_never_cut_inside_a_cluster(text: str, budget: int):
    pieces = texts_of(text, budget, Bytes())
    assert "".join(pieces) == text
    clusters = max(len(cluster.encode()) for cluster in regex.findall(r"\X", text))
    assert all(Bytes().count(piece) <= max(budget, clusters) for piece in pieces)
    ends = {match.end() for match in regex.finditer(r"\X", text)}
    position = 0
    for piece in pieces:
        position += len(piece)
        assert position in ends


@given(st.text(max_size=3000), st.integers(1, 60))
def test_chunks_cover_any_text_in_order_and_keep_to_the_budget(text: str, budget: int):
    chunks = split_text(text, budget, Bytes())
    assert "".join(text[start:end] for start, end, _ in chunks) == text
    assert all(start < end for start, end, _ in chunks)
    for start, end, tokens in chunks:
        assert tokens == Bytes().count(text[start:end])
        assert tokens <= budget or len(regex.findall(r"\X", text[start:end])) == 1
    assert chunks == split_text(text, budget, Bytes())


def test_a_stretch_in_the_middle_is_split_with_its_own_offsets():
    text = "Ignore this. " + "Read that. " * 50 + "Ignore the rest."
    chunks = split_text(text, 20, Words(), 13, 13 + 11 * 50)
    assert chunks[0][0] == 13
    assert chunks[-1][1] == 13 + 11 * 50


def test_a_line_of_a_million_characters_without_a_blank_is_split():
    text = "x" * 1_000_000
    chunks = split_text(text, 8000, EstimateCounter())
    assert "".join(text[start:end] for start, end, _ in chunks) == text
    assert all(tokens <= 8000 for _, _, tokens in chunks)


def test_a_book_needs_at_most_five_percent_more_chunks_than_the_minimum(shared_data: Path):
    document = load(shared_data / "books" / "moby_dick.txt")
    counter = EstimateCounter()
    for budget in (1024, 8000):
        chunks = split(document, budget, counter)
        assert "".join(document.read(chunk.span) for chunk in chunks) == document.text
        assert all(counter.count(document.read(chunk.span)) <= budget for chunk in chunks)
        assert len(chunks) <= 1.05 * math.ceil(counter.count(document.text) / budget)


def test_an_overlap_repeats_the_end_of_the_chunk_before():
    document = load(("One two three. " * 200).encode())
    plain, overlapping = split(document, 60, Words()), split(document, 60, Words(), overlap=12)
    assert len(overlapping) > len(plain)
    for before, after in pairwise(overlapping):
        assert before.span.start < after.span.start < before.span.end
        assert after.tokens <= 60


@pytest.mark.parametrize(("budget", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_impossible_budgets_are_refused(budget: int, overlap: int):
    with pytest.raises(UsageError):
        split(load(b"text"), budget, Words(), overlap=overlap)
