"""Counting, ranking, grouping and joining by code; which rows are one record; what a schema may be."""

from __future__ import annotations

import enum
import json
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from coa.aggregation.query import Join, Query, answer, condition, read_records
from coa.aggregation.rows import Row, merge
from coa.aggregation.schema import schema_of
from coa.errors import CoaError, UsageError
from coa.types import Span

SALES = [("ann", "salt", 3, 1.5), ("bo", "salt", 5, None), ("ann", "rope", 5, 2.0), ("cy", "tar", 1, 9.0)]


def row(values: dict[str, Any], start: int = 0, end: int = 10, part: int = 1, doc: str = "d") -> Row:
    return Row(values=values, spans=(Span(doc=doc, start=start, end=end),), part=part)


ROWS = [
    row({"who": who, "what": what, "count": n, "price": price}, i * 20, i * 20 + 10)
    for i, (who, what, n, price) in enumerate(SALES)
]


def lines(query: Query, rows: list[Row] = ROWS) -> list[dict[str, Any]]:
    return [line.values for line in answer(query, rows).lines]


def test_figures():
    assert lines(Query(count=True)) == [{"count": 4}]
    assert lines(Query(sum="count", mean="price")) == [{"sum of count": 14, "mean of price": 12.5 / 3}]
    assert answer(Query(mean="price"), ROWS).notes == ("1 rows state no price",)
    assert [line["who"] for line in lines(Query(max="count"))] == ["bo", "ann"]
    assert [line["who"] for line in lines(Query(min="price"))] == ["ann"]
    assert [line["who"] for line in lines(Query(top=2, by="price"))] == ["cy", "ann"]
    assert answer(Query(max="count"), ROWS).lines[1].rows == (2,)


def test_groups():
    assert lines(Query(group_by=("who",))) == [
        {"who": "ann", "count": 2},
        {"who": "bo", "count": 1},
        {"who": "cy", "count": 1},
    ]
    assert lines(Query(group_by=("what",), sum="count", top=1, by="sum")) == [{"what": "salt", "sum of count": 8}]
    assert lines(Query(group_by=("who",), max="count"))[0] == {"who": "ann", "max of count": 5}
    rows = [row({"who": "Ann "}), row({"who": "ann"}), row({"who": None})]
    assert [line["count"] for line in lines(Query(group_by=("who",)), rows)] == [2, 1]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("count>=5", [1, 2]),
        ("count < 3", [3]),
        ("who=ANN", [0, 2]),
        ("what!=salt", [2, 3]),
        ("what~al", [0, 1]),
        ("price>1", [0, 2, 3]),
        ("count=5.0", [1, 2]),
    ],
)
def test_conditions(text: str, places: list[int]):
    assert [line.rows[0] for line in answer(Query(where=(condition(text),)), ROWS).lines] == places


def test_joins(tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text("who,town\nAnn,Skerry\nbo,Holm\n")
    found = answer(Query(join=Join(records=read_records(path), on="who"), group_by=("town",)), ROWS)
    assert [line.values for line in found.lines] == [{"town": "Skerry", "count": 2}, {"town": "Holm", "count": 1}]
    assert found.notes == ("1 rows have no partner with the same who",)
    (tmp_path / "x.jsonl").write_text('{"who": "cy"}\n')
    assert read_records(tmp_path / "x.jsonl") == ({"who": "cy"},)
    (tmp_path / "y.json").write_text("3")
    for bad in ("y.json", "nowhere.csv"):
        with pytest.raises(CoaError):
            read_records(tmp_path / bad)


def test_what_cannot_be_ranked_or_added_up():
    with pytest.raises(UsageError):
        lines(Query(sum="who"))
    with pytest.raises(UsageError):
        lines(Query(max="v"), [row({"v": 1}), row({"v": "a"})])
    with pytest.raises(UsageError):
        condition("count")
    assert lines(Query(max="v"), [row({"v": None})]) == [] and lines(Query(count=True), []) == [{"count": 0}]


def test_random_rows_agree_with_a_plain_count():
    rng = random.Random(5)
    values = [(rng.choice("abcde"), rng.randrange(100)) for _ in range(2000)]
    rows = [row({"k": k, "v": v}, i * 10, i * 10 + 5) for i, (k, v) in enumerate(values)]
    counted = Counter(k for k, _ in values)
    assert {line["k"]: line["count"] for line in lines(Query(group_by=("k",)), rows)} == counted
    assert lines(Query(sum="v"), rows) == [{"sum of v": sum(v for _, v in values)}]
    assert [line["v"] for line in lines(Query(top=10, by="v"), rows)] == sorted((v for _, v in values), reverse=True)[
        :10
    ]


def test_a_record_that_two_parts_saw_is_one():
    first = row({"who": "ann", "n": 3, "at": None}, 90, 120, part=1)
    again = row({"who": "Ann", "n": 3, "at": "quay"}, 95, 118, part=2)
    other = row({"who": "bo", "n": 3, "at": None}, 95, 118, part=2)
    merged = merge([first, again, other])
    assert [each.values["who"] for each in merged.rows] == ["ann", "bo"] and merged.duplicates == 1
    assert merged.rows[0].values["at"] == "quay" and len(merged.rows[0].spans) == 1


def test_equal_records_of_different_places_stay_two_unless_a_key_says_otherwise():
    twice = [row({"who": "ann", "n": 3}, 0, 10, part=1), row({"who": "ann", "n": 4}, 500, 510, part=9)]
    assert len(merge(twice).rows) == 2
    one = merge(twice, ["who"])
    assert len(one.rows) == 1 and len(one.rows[0].spans) == 2
    assert one.conflicts == ("who 'ann': n is 3 and 4",)
    same_part = [row({"who": "ann"}, 0, 10), row({"who": "ann"}, 0, 10)]
    assert len(merge(same_part).rows) == 2
    nameless = [row({"who": None, "n": 1}, 0, 5), row({"who": None, "n": 1}, 90, 95)]
    assert len(merge(nameless, ["who"]).rows) == 2


class Kind(enum.Enum):
    SALT = "salt"


class Sale(BaseModel):
    kind: Kind
    day: date
    note: str | None = None


def test_schemas():
    schema = schema_of(Sale)
    assert schema.fields == ("kind", "day", "note") and schema.required == ("kind", "day")
    assert schema.record({"kind": "salt", "day": "2026-01-02"}) == {
        "kind": "salt",
        "day": date(2026, 1, 2),
        "note": None,
    }
    with pytest.raises(ValueError, match=r"kind: .*; day: "):
        schema.record({"kind": "tar", "day": "soon"})
    given = {
        "title": "Sale of goods",
        "properties": {
            "the price": {"type": "number"},
            "kind": {"enum": ["a", "b"]},
            "n": {"type": ["integer", "null"]},
        },
        "required": ["the price"],
    }
    own = schema_of(given)
    assert own.fields == ("the price", "kind", "n") and own.required == ("the price",)
    assert own.record({"the price": "3.5", "kind": "a", "more": 1}) == {"the price": 3.5, "kind": "a", "n": None}
    assert json.loads(own.text)["title"] == "Sale of goods"


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {}}, {"properties": {"a": {"type": "object"}}}, {"properties": {"a": 3}}]
)
def test_what_is_no_flat_schema(schema: dict[str, Any]):
    with pytest.raises(UsageError):
        schema_of(schema)


def test_schemas_in_files(tmp_path: Path):
    (tmp_path / "s.json").write_text('{"properties": {"a": {"type": "string"}}}')
    assert schema_of(tmp_path / "s.json").fields == ("a",)
    (tmp_path / "s.py").write_text("from pydantic import BaseModel\nclass M(BaseModel):\n    b: 'int'\nN = 3\n")
    assert schema_of(f"{tmp_path}/s.py:M").fields == ("b",)
    (tmp_path / "bad.json").write_text("[1]")
    (tmp_path / "bad.py").write_text("import nothing_of_that_name\n")
    for bad in ("bad.json", "nowhere.json", "s.py:N", "bad.py:M", "nowhere.py:M"):
        with pytest.raises(CoaError):
            schema_of(f"{tmp_path}/{bad}")
