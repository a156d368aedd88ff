"""Whole documents ranked: exact counts, each part for what it is there for, evidence from the document itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coa.documents import Document
from coa.errors import UsageError
from coa.retrieval.base import Counts, CountsWords
from coa.retrieval.filters import condition
from coa.retrieval.index import Index
from coa.retrieval.terms import terms
from coa.retrieval.units import unit_spans
from coa.retrieval.whole import K1, B, bm25, neighbours
from coa.testing.stores import vector

PAD = "The cook stirred the soup and looked at the weather. Nobody came by that day, and the bread was stale. "
QUERY = "lantern storm keeper barometer"


class Letters:
    """An embedder that counts letters."""

    name, fingerprint, dimensions, window = "letters", "letters:1", 26, 10_000

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([vector(text) for text in texts])


def spread(*words: str) -> str:
    """A document that says each word in a passage of its own, far from the others."""
    return "\n\n".join(PAD * 5 + f"Somebody mentioned the {word}. " + PAD for word in words)


TEXTS = {
    "spread": spread(*QUERY.split(), *QUERY.split()),
    "once": spread("lantern", "kettle", "parrot", "anchor", "ladder", "mirror", "bucket", "candle")
    + "\n\nThe lantern and the storm.",
    "other": spread("kettle", "parrot", "anchor", "ladder", "mirror", "bucket", "candle", "violin"),
}


def filled(folder: Path, texts: dict[str, str], embedder: Letters | None = None) -> Index:
    index = Index.create(folder, embedder=embedder)
    index.add([Document(id=name, path=f"{name}.txt", text=text, sha256=name) for name, text in texts.items()])
    return index


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return filled(tmp_path / "lib", TEXTS)


def test_a_document_is_found_by_words_that_stand_far_apart(index: Index) -> None:
    ranked = index.rank_documents(QUERY, 3)
    assert [one.doc for one in ranked] == ["spread", "once"]
    assert ranked[0].parts["words"] > ranked[1].parts["words"]
    assert ranked[0].path == "spread.txt"


def test_each_document_comes_with_its_own_best_passages(index: Index) -> None:
    (best, *_) = index.rank_documents(QUERY, 1, passages=2)
    assert len(best.hits) == 2
    assert all(TEXTS["spread"][hit.span.start : hit.span.end] == hit.text for hit in best.hits)
    assert list(best.hits) == index.find(QUERY, 2, where={"doc": "spread"})
    assert index.rank_documents(QUERY, 1, passages=0)[0].hits == ()


def test_counts_are_those_of_the_units(index: Index) -> None:
    assert isinstance(index.store, CountsWords)
    phrases = [("lantern",), ("storm",), ("cook", "stir"), ("cook", "weather"), ("zeppelin",)]
    counts = index.store.count_words(phrases)
    for phrase, found in zip(phrases, counts.units, strict=True):
        expected = {name: _units_with(phrase, text) for name, text in TEXTS.items()}
        assert found == {name: many for name, many in expected.items() if many}
    assert counts.documents == 3
    assert counts.chars == pytest.approx(sum(map(len, TEXTS.values())) / 3)
    assert counts.lengths == {name: len(text) for name, text in TEXTS.items()}


def _units_with(phrase: tuple[str, ...], text: str) -> int:
    """Counted the plain way: both words of a pair with one other between them at most."""
    units = [terms(text[start:end]) for start, end in unit_spans(text)]
    if len(phrase) == 1:
        return sum(phrase[0] in unit for unit in units)
    return sum(
        any({a, b} == set(phrase) for (i, a), (j, b) in combinations(enumerate(unit), 2) if j - i <= 2)
        for unit in units
    )


def test_bm25_by_hand() -> None:
    counts = Counts(documents=3, chars=100.0, lengths={"a": 100, "b": 200}, units=[{"a": 2}, {"a": 1, "b": 1}])
    rare, common = math.log(1 + 2.5 / 1.5), math.log(1 + 1.5 / 2.5)
    long = K1 * (1 - B + 2 * B)
    assert bm25(counts) == pytest.approx(
        {"a": rare * 2 * (K1 + 1) / (2 + K1) + common, "b": common * (K1 + 1) / (1 + long)}
    )


def test_words_beside_each_other_count_for_more(tmp_path: Path) -> None:
    together, apart = (
        "The brass compass that belongs to Ann hangs beside an old violin.",
        "The old compass that belongs to Ann hangs beside an brass violin.",
    )
    index = filled(tmp_path / "lib", {"apart": apart, "together": together, "none": PAD})
    first, second = index.rank_documents("the old violin", 2)
    assert (first.doc, second.doc) == ("together", "apart")
    assert first.parts["words"] == pytest.approx(second.parts["words"])
    assert "pairs" not in second.parts


def test_neighbours_are_pairs_of_different_words_once() -> None:
    assert neighbours(["b", "a", "a", "b", "c"]) == [("a", "b"), ("b", "c")]


def test_a_filter_says_which_passages_count(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "lib")
    for year in (1, 2):
        text = f"The keeper trimmed the lantern in year {year}."
        index.add([Document(id=str(year), path=str(year), text=text, sha256=str(year))], fields={"year": year})
    assert isinstance(index.store, CountsWords)
    assert index.store.count_words([("lantern",)], where=condition({"year": 2})).units == [{"2": 1}]
    (only,) = index.rank_documents("lantern", 5, where={"year": 2})
    assert (only.doc, only.hits[0].span.doc) == ("2", "2")


def test_vectors_are_a_part_and_can_be_the_only_one(tmp_path: Path) -> None:
    index = filled(tmp_path / "lib", {"z": "Zigzag zebras zip.", "a": "A banana salad."}, Letters())
    (first, *_) = index.rank_documents("zebras", 2)
    assert set(first.parts) == {"words", "units", "dense"}
    (only, *_) = index.rank_documents("zzz", 2, mode="dense")
    assert (only.doc, set(only.parts)) == ("z", {"dense"})
    assert only.parts["dense"] == pytest.approx(float(vector("zzz") @ vector("Zigzag zebras zip.")), abs=1e-5)


def test_several_questions_are_added(index: Index) -> None:
    both = [one.doc for one in index.rank_documents(["barometer", "kettle parrot"], 3)]
    assert set(both) == {"spread", "once", "other"}


@pytest.mark.parametrize(("query", "options"), [("", {}), ([], {}), ("x", {"k": 0}), ("x", {"mode": "dense"})])
def test_what_cannot_be_asked_is_refused(index: Index, query: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        index.rank_documents(query, **options)
    assert caught.value.hint


def test_nothing_is_found_where_no_word_is_known(index: Index) -> None:
    assert index.rank_documents("zeppelin", 3) == []
    assert index.rank_documents("the of and", 3) == []


def test_an_empty_index_has_no_documents(tmp_path: Path) -> None:
    assert filled(tmp_path / "empty", {}).rank_documents("zeppelin", 3) == []


@pytest.mark.slow
def test_a_store_that_cannot_count_ranks_by_the_best_passages(tmp_path: Path) -> None:
    pytest.importorskip("lancedb")
    index = Index.create(f"lancedb://{tmp_path / 'lib'}")
    index.add([Document(id=name, path=name, text=text, sha256=name) for name, text in TEXTS.items()])
    (first, *_) = index.rank_documents(QUERY, 2)
    assert (first.doc in TEXTS, set(first.parts)) == (True, {"units"})
    assert first.hits
    index.close()
