"""Ranking: what each switch does, on vectors whose cosines can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
import pytest
from numpy.typing import NDArray

from coa.documents import Document
from coa.errors import UnusableIndex, UsageError
from coa.retrieval.fusion import vectors_share
from coa.retrieval.index import Index
from coa.retrieval.ranking import Ranking
from coa.testing.stores import vector


class Letters:
    """An embedder that counts letters."""

    name, fingerprint, dimensions, window = "letters", "letters:1", 26, 10_000

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([vector(text) for text in texts])


class Others(Letters):
    fingerprint = "letters:2"


TEXTS = {
    "zebra": "Zebras graze zestfully. Zigzag zebras.",
    "zoo": "The zoo has zebras, zebus and a wizard.",
    "ant": "Ants march past a basalt dam.",
    "twin": "Zebras graze zestfully. Zigzag zebras!",
}


@pytest.fixture
def index(tmp_path: Path) -> Index:
    made = Index.create(tmp_path / "lib", embedder=Letters())
    made.add([Document(id=name, path=name, text=text, sha256=name) for name, text in TEXTS.items()])
    return made


def test_every_hit_says_why(index: Index) -> None:
    (best, *_) = index.find("zebras in the zoo", 4, how=Ranking(smooth=0.5))
    assert set(best.parts) == {"bm25", "dense", "neighbours"}
    assert best.parts["dense"] == pytest.approx(float(vector("zebras in the zoo") @ vector(best.text)), abs=1e-5)


def test_gaps_are_filled_exactly(index: Index) -> None:
    (one, *_) = index.find("zebras", 1, how=Ranking(candidates=1))
    (many, *_) = index.find("zebras", 1, how=Ranking(candidates=100))
    assert one.parts == pytest.approx(dict(many.parts))


def test_both_fusions_agree_on_what_both_parts_prefer(index: Index) -> None:
    first = {index.find("zebras zebus zoo wizard", 4, how=Ranking(fusion=fusion))[0].span for fusion in ("z", "rrf")}
    assert {span.doc for span in first} == {"zoo"}


def test_a_weight_of_nought_silences_a_part(index: Index) -> None:
    words = index.find("ants zebras", 4, how=Ranking(weights={"dense": 0.0}))
    assert [hit.span for hit in words][:2] == [hit.span for hit in index.find("ants zebras", 2, mode="bm25")]


def test_vectors_yield_to_words_that_stand_far_out() -> None:
    near = [4.0, 3.5, 3.0, 2.5, 2.0]
    assert vectors_share(near) == 1.0
    far = [10.0, *[1.0] * 99]
    z = (10.0 - mean(far)) / pstdev(far)
    assert vectors_share(far) == pytest.approx((3.0 / z) ** 2)
    assert vectors_share([]) == vectors_share([2.0, 2.0]) == 1.0


def test_the_score_is_words_and_the_share_of_vectors_unless_weights_are_given(tmp_path: Path) -> None:
    made = Index.create(tmp_path / "lib", embedder=Letters())
    texts = {str(n): f"Somebody zigzags past zebra {'y' * n} in a zoo." for n in range(40)}
    texts["named"] = "Quist hid the letter at home."
    made.add([Document(id=name, path=name, text=text, sha256=name) for name, text in texts.items()])
    for weights, full in (({}, False), ({"dense": 1.0}, True)):
        hits = made.find("Quist in the zoo", 41, how=Ranking(weights=weights))
        words = [hit.parts.get("bm25", 0.0) for hit in hits]
        near = [hit.parts["dense"] for hit in hits]
        share = 1.0 if full else vectors_share(words)
        assert full or share < 0.5
        expected = [
            (one - mean(words)) / pstdev(words) + share * (other - mean(near)) / pstdev(near)
            for one, other in zip(words, near, strict=True)
        ]
        assert [hit.score for hit in hits] == pytest.approx(expected, abs=1e-5)


def test_diversity_leaves_a_twin_for_later(index: Index) -> None:
    assert {hit.span.doc for hit in index.find("zigzag zebras graze", 2)} == {"zebra", "twin"}
    assert {hit.span.doc for hit in index.find("zigzag zebras graze", 2, how=Ranking(diversity=0.8))} != {
        "zebra",
        "twin",
    }


def test_several_queries_are_added(index: Index) -> None:
    found = [hit.span.doc for hit in index.find(["basalt dam", "wizard"], 2, mode="bm25")]
    assert set(found) == {"ant", "zoo"}


def test_a_filter_holds_for_every_part(index: Index) -> None:
    hits = index.find("zebras", 10, where={"not": {"doc": {"in": ["zebra", "twin"]}}}, how=Ranking(smooth=0.5))
    assert {hit.span.doc for hit in hits} == {"zoo", "ant"}


def test_an_embedder_of_ones_own_must_be_given_again_and_be_the_same(index: Index, tmp_path: Path) -> None:
    again = Index.open(tmp_path / "lib", embedder=Letters())
    assert again.find("zebras", 1, mode="dense")
    with pytest.raises(UnusableIndex) as caught:
        Index.open(tmp_path / "lib", embedder=Others())
    assert "letters:1" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("switch", [{"diversity": 1.5}, {"smooth": -1.0}, {"candidates": 0}, {"weights": {"x": 1.0}}])
def test_switches_that_make_no_sense_are_refused(switch: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Ranking(**switch)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "where",
    [
        {"a b": 1},
        {"page": {"near": 3}},
        {"page": {}},
        {"and": {"page": 1}},
        {"or": []},
        {"not": 3},
        {"speaker": None},
        {"year": float("nan")},
        {"year": {"in": 3}},
        {"section": {"gte": "A"}},
        {"x'); drop table units; --": 1},
    ],
)
def test_filters_that_are_none_are_refused(index: Index, where: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        index.find("zebras", where=where)
    assert caught.value.hint


def test_fields_go_with_every_unit_and_their_names_are_checked(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "lib")
    talk = Document(id="talk", path="talk", text="We shall meet at the mill.", sha256="1")
    index.add([talk], fields={"speaker": "Ann", "date": "2024-05-01"})
    (hit,) = index.find("mill", where={"date": {"gte": "2024-01-01"}})
    assert hit.fields == {"speaker": "Ann", "date": "2024-05-01"}
    for name in ("page", "and", "9", "a-b"):
        with pytest.raises(UsageError):
            index.add([Document(id="t", path="t", text="x", sha256="2")], fields={name: 1})
