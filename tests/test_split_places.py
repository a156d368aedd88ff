"""Where texts are cut, to the character. A run that was begun by an earlier version must be cut alike to be resumed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import regex

from coa.documents import Document, load
from coa.split import split, split_at, split_text
from coa.types import Chunk

LOG = Path(__file__).parents[1] / "examples/documents/lighthouse_log.txt"


class Words:
    label, margin = "words", 0.0

    def count(self, text: str) -> int:
        return len(regex.findall(r"\w+|[^\w\s]", text)) or int(bool(text))


class Characters:
    label, margin = "characters", 0.0

    def count(self, text: str) -> int:
        return len(text)


def document(text: str) -> Document:
    return Document(id="d", path="d", text=text, sha256="")


SENTENCES = "One two three four. Five six! Seven \u201ceight?\u201d Nine ten eleven twelve thirteen. "
TEXTS = {
    "log": LOG.read_text("utf-8")[:20_000],
    "sentences": SENTENCES * 60,
    "paragraphs": ((SENTENCES * 3).strip() + "\n \n\n") * 20,
    "lines": "".join(f"Line {n} of a list without a stop\n" for n in range(200)),
    "chinese": "\u706f\u5854\u7684\u5149\u5728\u591c\u91cc\u4eae\u7740\u3002\u300c\u8c01\uff1f\u300d" * 150,
    "one word": "x" * 5000,
    "accents": "e\u0301" * 1500,
    "families": "\U0001f469\u200d\U0001f469\u200d\U0001f467 " * 200,
    "crlf": "a\r\n" * 1500,
    "blanks": "word" + " " * 900 + "word" + "\n" * 900 + "end. " + "z" * 700,
}
PLACES = {
    "log": "c2ac48a8f0bf",
    "sentences": "601e8e93a0db",
    "paragraphs": "fa4344e94404",
    "lines": "5fd216ad92e6",
    "chinese": "f87b28209303",
    "one word": "c52e099f9257",
    "accents": "863bccf872ec",
    "families": "7661f7d1c70e",
    "crlf": "1f3e71d38876",
    "blanks": "4bc2e3438148",
}


def digest(chunks: object) -> str:
    return hashlib.sha256(repr(chunks).encode()).hexdigest()[:12]


def places(chunks: list[Chunk]) -> list[tuple[int, int, int]]:
    return [(chunk.span.start, chunk.span.end, chunk.tokens) for chunk in chunks]


def all_places(name: str) -> str:
    text, found = TEXTS[name], list[object]()
    for counter in (Words(), Characters()):
        found += [split_text(text, budget, counter) for budget in (1, 7, 23, 60, 120, 385, 1000)]
        found += [split_text(text, budget, counter, 37, len(text) - 41) for budget in (50, 300)]
        for budget, overlap in ((40, 9), (300, 40)):
            found.append(places(split(document(text), budget, counter, overlap=overlap)))
        starts = [match.start() for match in regex.finditer(r"(?<=\n)\S|One", text)]
        for budget in (30, 200):
            found.append(places(split_at(document(text), starts, budget, counter)))
    return digest(found)


@pytest.mark.parametrize("name", TEXTS)
def test_the_places_are_those_of_every_version(name: str):
    assert all_places(name) == PLACES[name]


def cut(text: str, budget: int) -> list[str]:
    return [text[start:end] for start, end, _ in split_text(text, budget, Words())]


def test_a_paragraph_is_a_better_end_than_a_sentence_and_a_sentence_than_a_word():
    """Within the last three percent of a chunk; here a chunk of a hundred words may be three words short."""
    before = "w " * 97
    assert cut(before + "a.\n\nb c. " + "d " * 200, 100)[0].endswith("a.\n\n")
    assert cut(before + "a. b c " + "d " * 200, 100)[0].endswith("a. ")


def test_chunks_are_numbered_and_belong_to_their_document():
    text = load((SENTENCES * 20).encode(), path="a.txt")
    for chunks in (split(text, 40, Words()), split_at(text, [100, 200], 40, Words())):
        assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
        assert {chunk.span.doc for chunk in chunks} == {"a.txt"}


def test_turns_are_kept_together_up_to_the_budget_and_not_one_token_beyond():
    turns = ["a b c. "] * 9
    text, starts = "".join(turns), [7 * n for n in range(9)]
    sizes = [chunk.tokens for chunk in split_at(document(text), starts, 8, Words())]
    assert sizes == [8, 8, 8, 8, 4]
    assert [chunk.tokens for chunk in split_at(document(text), starts, 7, Words())] == [4] * 9
    assert split_at(document(""), [], 8, Words()) == []


def test_the_best_end_among_the_last_few_percent_of_a_large_chunk_wins():
    head, tail = "Word word word. " * 2460 + "\n\n", "Word word word. " * 2000
    first, *_ = split_text(head + tail, 40_000, Characters())
    assert first == (0, len(head), len(head))
    (_, plain, _), *_ = split_text("Word word word. " * 5000, 40_000, Characters())
    assert 39_600 < plain <= 40_000
    early = "Word word word. " * 2300 + "\n\n"
    (_, end, _), *_ = split_text(early + tail * 2, 40_000, Characters())
    assert end > 38_800


@pytest.mark.parametrize("units", [1, 2, 3])
def test_an_end_that_is_one_two_or_three_units_early_is_found(units: int):
    """A unit of these sentences has 384 characters; three of them are less than three percent of the chunk."""
    head = "Word word word. " * ((40_000 - 384 * units - 20) // 16) + "\n\n"
    (_, end, _), *_ = split_text(head + "Word word word. " * 2000, 40_000, Characters())
    assert end == len(head)


def test_a_sentence_wins_over_the_words_behind_it():
    head = "word " * 7880 + "end. "
    (_, end, _), *_ = split_text(head + "word " * 3000, 40_000, Characters())
    assert end == len(head)


def test_the_end_of_a_word_wins_over_places_inside_one():
    head = "word " * 7914
    (_, end, _), *_ = split_text(head + "x" * 3000, 40_000, Characters())
    assert end == len(head)


def test_a_large_cluster_is_no_reason_to_cut_it_where_a_chunk_is_half_empty():
    cluster = "e" + "\u0301" * 40
    text = "One two three four. Five six seven. " + cluster + " and more words after it."
    pieces = [text[start:end] for start, end, _ in split_text(text, 60, Characters())]
    assert "".join(pieces) == text and any(cluster in piece for piece in pieces)


def test_a_line_break_of_two_characters_is_not_cut_at_the_end_of_a_unit():
    text = "x" * 383 + "\r\n"
    assert split_text(text, 384, Characters()) == [(0, 383, 383), (383, 385, 2)]


def test_nothing_is_repeated_unless_it_is_asked_for():
    text = document(SENTENCES * 40)
    assert "".join(text.read(chunk.span) for chunk in split(text, 40, Words())) == text.text
