"""The orders of reading: every part once, and each order for its reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coa.errors import UsageError
from coa.pipelines.likeness import spanning_tree, vectors
from coa.pipelines.order import ORDERS, Parts, resolve_order

TEXTS = [
    "The harbour master counted herring barrels.",
    "A comet crossed the winter sky above the observatory.",
    "Herring barrels were sold at the harbour auction.",
    "The observatory drew the comet on copper plates.",
    "The auction paid for a new bell.",
]


def parts(texts: list[str], query: str | None = None) -> Parts:
    return Parts(count=len(texts), texts=lambda: texts, query=query)


def test_the_plain_orders_never_read_a_text() -> None:
    def refuse() -> list[str]:
        raise AssertionError("read")

    nine = Parts(count=9, texts=refuse)
    assert resolve_order("ltr")(nine) == tuple(range(9))
    assert resolve_order("rtl")(nine) == tuple(reversed(range(9)))
    drawn = resolve_order("random:7")(nine)
    assert sorted(drawn) == list(range(9)) and drawn == resolve_order("random:7")(nine)
    assert drawn != resolve_order("random:8")(nine)
    with pytest.raises(UsageError):
        resolve_order("random:x")


def test_relevance_begins_with_what_the_question_is_about() -> None:
    order = resolve_order("relevance")(parts(TEXTS, "Who drew the comet on plates?"))
    assert order[:2] == (3, 1)
    with pytest.raises(UsageError, match="question"):
        resolve_order("relevance")(parts(TEXTS))


def test_chow_liu_follows_likeness_from_the_part_nearest_to_the_question() -> None:
    """Worked by hand: 3 holds the question, 1 shares comet and observatory with it; the harbour hangs together by 2."""
    order = resolve_order("chow-liu")(parts(TEXTS, "Who drew the comet on plates?"))
    assert order[:2] == (3, 1)
    tree = dict(enumerate(parent for parent, _ in spanning_tree(vectors(TEXTS), 3)))
    assert tree[1] == 3
    assert {frozenset((0, 2)), frozenset((2, 4))} <= {frozenset(edge) for edge in tree.items()}
    assert sorted(resolve_order("chow-liu")(parts(TEXTS))) == [0, 1, 2, 3, 4]


def test_the_tree_is_the_heaviest() -> None:
    rows = vectors(TEXTS)
    found = sum(likeness for node, (_, likeness) in enumerate(spanning_tree(rows, 0)) if node)
    alike = rows @ rows.T
    joined, weight = {0}, 0.0
    while len(joined) < len(TEXTS):
        best = max((float(alike[i, j]), j) for i in joined for j in range(len(TEXTS)) if j not in joined)
        weight, joined = weight + best[0], joined | {best[1]}
    assert found == pytest.approx(weight, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=12), st.text(min_size=1, max_size=20))
def test_every_order_reads_every_part_once(texts: list[str], query: str) -> None:
    for name in ORDERS:
        assert sorted(resolve_order(name)(parts(texts, query))) == list(range(len(texts)))
