"""Context for a model: within its budget, verbatim, in order, widened."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.index import Index
from coa.tokens import EstimateCounter

SECTION = "## Section {n}\n\n" + "The {word} stands in part {n}. " * 40 + "\n\n"
TEXT = "# Book\n\n" + "".join(
    SECTION.format(n=n, word=word) for n, word in enumerate(["mill", "ferry", "orchard", "quarry"])
)


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "lib")
    made.add([Document(id="book", path="book.md", text=TEXT, sha256="1")])
    return made


@pytest.mark.parametrize("expand", [None, "window", "section", "parent"])
def test_passages_are_verbatim_ordered_joined_and_within_the_budget(index: Index, expand: str | None) -> None:
    hits = index.find("ferry quarry mill", 8)
    context = index.context(hits, 900, expand=expand)
    assert context.passages
    assert context.tokens <= 900
    assert context.tokens == sum(EstimateCounter().count(passage.text) for passage in context.passages)
    spans = [passage.span for passage in context.passages]
    assert spans == sorted(spans)
    assert all(one.end < two.start for one, two in pairwise(spans))
    for passage in context.passages:
        assert TEXT[passage.span.start : passage.span.end] == passage.text


def test_a_section_is_taken_whole_and_nothing_beyond_it(index: Index) -> None:
    (best, *_) = index.find("ferry", 1)
    assert best.section == ("Book", "Section 1")
    (passage,) = index.context([best], 5_000, expand="section").passages
    assert passage.text.startswith("## Section 1")
    assert passage.text.rstrip().endswith("part 1.")
    assert "orchard" not in passage.text


def test_a_window_takes_neighbours_and_a_full_budget_the_bare_passage(index: Index) -> None:
    (best, *_) = index.find("ferry", 1)
    (wide,) = index.context([best], 5_000, expand="window").passages
    assert len(wide.text) > len(best.text)
    bare = EstimateCounter().count(best.text)
    (passage,) = index.context([best], bare, expand="window").passages
    assert passage.text == best.text
    none = index.context([best], bare - 1)
    assert none.passages == ()
    assert none.left_out == (best,)


def test_orders(index: Index) -> None:
    hits = index.find("quarry ferry", 8)
    by_score = index.context(hits, 2_000, order="score").passages
    assert [p.score for p in by_score] == sorted((p.score for p in by_score), reverse=True)
    assert index.context(hits, 2_000, order="best_last").passages == tuple(
        sorted(by_score, key=lambda passage: passage.score)
    )


def test_what_makes_no_sense_is_refused(index: Index) -> None:
    hits = index.find("ferry", 1)
    for options in ({"tokens": 0}, {"tokens": 9, "order": "magic"}, {"tokens": 9, "expand": "magic"}):
        with pytest.raises(UsageError) as caught:
            index.context(hits, **options)
        assert caught.value.hint
