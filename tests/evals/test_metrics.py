"""Official metrics against cases worked by hand and, where the public data stands beside the checkout, its figures."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from coa.evals.benchmarks import BENCHMARKS
from coa.evals.metrics import code, contained, rouge, route
from coa.evals.run import load_items

ROUTE = "From A, take a bus to B.\nFrom B, take a train to C.\nFrom C, take a ferry to D.\nFrom D, take a bus to E."


def test_rouge():
    one = rouge("the cat sat on the mat . it was happy .", "the cat was on the mat and it was glad .")
    assert one["rougeL"] == pytest.approx(0.7368, abs=5e-5) and one["rouge1"] == pytest.approx(0.7368, abs=5e-5)
    assert rouge("", "a") == {"rouge1": 0, "rouge2": 0, "rougeL": 0, "rouge": 0}
    same = rouge("Two words, three words.", "two WORDS three words")
    assert set(same.values()) == {1.0}
    assert rouge("c a b", "a b c")["rougeL"] == pytest.approx(2 / 3)


def test_needles():
    assert contained("It is ABC\x00and def.", ["abc", "def", "ghi"]) == pytest.approx(2 / 3)
    assert contained("anything", []) == 0.0


def test_routes():
    assert route(f"So:\n<Route>\n{ROUTE}\n</Route>", ROUTE) == {"exact": 1.0, "partial": 1.0}
    assert route(ROUTE, ROUTE) == {"exact": 0.0, "partial": 0.0}
    assert route(f"<Route>{ROUTE}\nFrom E, take a bus to F.</Route>", ROUTE) == {"exact": 0.0, "partial": 1.0}
    half = "\n".join(ROUTE.split("\n")[:2])
    assert route(f"<Route>{half}</Route>", ROUTE)["partial"] == 0.5
    assert route("<Route>From X, take a bus to Y.</Route>", ROUTE)["partial"] == 0.25


def test_code():
    assert code("# c\n    return x+1\nfoo", "    return x + 1") == {"exact": 0.0, "edit": 0.74, "code_sim": 0.93}
    assert code("\treturn  x", "return x")["exact"] == 1.0
    assert code("```python\nx = 1\n```", "x = 1")["code_sim"] == 1.0
    assert code("# only a comment", "x = 1")["code_sim"] == code("", "x = 1")["edit"] == 0.0


def test_lengths(tmp_path: Path):
    path = tmp_path / "w.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": "p", "type": "t", "length": n}) for n in (1000, 1000, 10_000)))
    items = load_items("longbench-write", path)
    written = [500, 2000, 9000]
    score = BENCHMARKS["longbench-write"].score
    scores = [score(item, "word " * n)["S_l"] for item, n in zip(items, written, strict=True)]
    assert scores == pytest.approx([50, 66.667, 94.444], abs=0.001)


def test_summhay_by_hand(tmp_path: Path):
    topic = {
        "documents": [{"insights_included": ["i"]}, {"insights_included": ["i", "j"]}, {"insights_included": []}],
        "subtopics": [
            {
                "summaries": {"s": ["Head", "- one [1, 3]", "- two [2]"]},
                "eval_summaries": {
                    "s": [
                        {"insight_id": "i", "coverage": "FULL_COVERAGE", "bullet_id": 2},
                        {"insight_id": "j", "coverage": "NO_COVERAGE", "bullet_id": "NA"},
                    ]
                },
            }
        ],
    }
    path = tmp_path / "topic.json"
    path.write_text(json.dumps(topic))
    (item,) = load_items("summhay", path)
    assert BENCHMARKS["summhay"].score(item, "") == {
        "coverage": 0.5,
        "citation": 0.5,
        "joint": 0.25,
        "precision": 0.5,
        "recall": 0.5,
    }


def test_summhay_gives_the_published_figures(shared_data: Path):
    items = load_items("summhay", shared_data / "summhay")
    assert len(items) == 78
    all_scores = [BENCHMARKS["summhay"].score(item, "") for item in items]
    means = {name: round(fmean(each[name] for each in all_scores), 4) for name in all_scores[0]}
    assert means == {"coverage": 0.7805, "citation": 0.3596, "joint": 0.2963, "precision": 0.6199, "recall": 0.2944}


def test_longproc_gives_the_published_figures(shared_data: Path):
    items = load_items("longproc-path", shared_data / "longproc" / "path_traversal")
    assert len(items) == 200
    assert all(route(f"<Route>\n{item.gold}\n</Route>", item.gold)["exact"] == 1.0 for item in items)
    halves = [item.gold.strip().split("\n")[: len(item.gold.strip().split("\n")) // 2] for item in items]
    said = [f"<Route>{chr(10).join(half)}</Route>" for half in halves]
    partial = [route(text, item.gold)["partial"] for text, item in zip(said, items, strict=True)]
    assert round(fmean(partial), 4) == 0.4929


def test_qmsum_has_the_published_counts(shared_data: Path):
    items = [each for part in ("train", "val.jsonl") for each in load_items("qmsum", shared_data / "qmsum" / part)]
    assert len({item.document for item in items}) == 197 and len({item.gold for item in items}) == 1527
    assert len({item.key for item in items}) == len(items)


def test_needles_of_ruler_are_parted(shared_data: Path):
    items = load_items("niah", shared_data / "needle" / "ruler_niah_multikey_3_4096.jsonl")
    assert len(items) == 500 and all(item.question.startswith("What is the special magic") for item in items)
    assert all(contained(item.document, item.gold) == 1.0 for item in items)
