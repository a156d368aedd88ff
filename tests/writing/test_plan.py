"""Budgets, outlines and what is made of a model's lines."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coa.errors import UsageError
from coa.writing.allocate import LEAST_WORDS, MOST_WORDS, allocate, leaf_count
from coa.writing.outlining import fitted, lines_in, owned_once, sections_of, title_in
from coa.writing.plan import Constraint, Outline, Section, Series, compile_series

JUNK = """Here is the plan you asked for:

**Title:** The Sound
---
1. **Ferries** | how they cross | 3 | they leave at six; they carry nails
2. Lights | who keeps them | 2 | Quill keeps one; they leave at six
- Section 3: Storms | what they cost | five | a boat was lost
| title | goal | weight | points |
Ferries | again | 1 | twice
Total: 3 sections
I hope this helps!"""


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(0, 10**9))
def test_budgets_sum_exactly_within_their_bounds(weights: list[float], seed: int):
    rng = random.Random(seed)
    least = [rng.randint(1, 300) for _ in weights]
    most = [low + rng.randint(0, 900) for low in least]
    total = rng.randint(sum(least), sum(most))
    shares = allocate(weights, total, least, most)
    assert sum(shares) == total
    assert all(low <= share <= high for low, share, high in zip(least, shares, most, strict=True))


def test_budgets_follow_the_weights_and_refuse_the_impossible():
    assert allocate([1, 2, 1], 400, [0, 0, 0], [400] * 3) == [100, 200, 100]
    with pytest.raises(ValueError):
        allocate([1, 1], 100, [60, 60], [90, 90])


@settings(deadline=None)
@given(st.integers(1, 200_000))
def test_leaves_can_always_be_given_their_budget(words: int):
    count = leaf_count(words)
    assert count == 1 or count * LEAST_WORDS <= words <= count * MOST_WORDS


def test_only_real_lines_of_a_reply_are_taken():
    lines = lines_in(JUNK)
    assert [line.title for line in lines] == ["Ferries", "Lights", "Storms"]
    assert lines[0].points == ("they leave at six", "they carry nails") and lines[0].weight == 3
    assert title_in(JUNK) == "The Sound" and title_in("no such thing") is None
    paragraphs = lines_in("Paragraph 1 - Main Point: The ferry leaves. - Word Count: 400\nParagraph 2 - nothing")
    assert [(line.goal, line.weight) for line in paragraphs] == [("The ferry leaves.", 400)]
    assert lines_in("Sorry, I cannot do that.\n---\n| | |\n") == []


@pytest.mark.parametrize(
    ("reply", "titles"),
    [
        ('Sure!\n```json\n{"chapters": [{"title": "Ferries", "goal": "go", "weight": 3, "points": ["a", "b"]},'
         ' {"heading": "**Lights**", "words": 900, "key_points": "c; d"}]}\n```', ["Ferries", "Lights"]),
        ('[{"goal": "no title"}, {"title": "Storms", "weight": true, "points": {"a": 1}}]', ["Storms"]),
        ('[{"title": "cut off", ', []),
        ("[{" * 50_000 + "}]", []),
        ('[{"weight": 1}]', []),
    ],
)  # fmt: skip
def test_an_outline_in_json_is_understood(reply: str, titles: list[str]):
    lines = lines_in(reply)
    assert [line.title for line in lines] == titles
    if titles == ["Ferries", "Lights"]:
        assert [(line.goal, line.weight, line.points) for line in lines] == [
            ("go", 3, ("a", "b")),
            ("", 900, ("c", "d")),
        ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_lines_are_fitted_to_the_number_that_is_needed(count: int):
    lines = fitted(lines_in(JUNK), count)
    assert len(lines) == count and len({line.title for line in lines}) == count
    points = [point for line in lines for point in line.points]
    assert {"they leave at six", "they carry nails", "Quill keeps one", "a boat was lost"} <= set(points)
    sections = owned_once(sections_of(lines, 600 * count, [1] * count), set())
    owned = [point for section in sections for point in section.key_points]
    assert len(owned) == len(set(owned))
    Outline(title="t", brief="b", words=600 * count, sections=sections)


def outline(**more) -> dict:
    sections = [
        {"id": "1", "title": "One", "words": 300},
        {"id": "2", "title": "Two", "words": 300, "depends_on": ["1"], "key_points": ["a boat"]},
    ]
    return {"title": "T", "brief": "B", "words": 600, "sections": sections} | more


def test_an_outline_survives_yaml(tmp_path: Path):
    made = Outline.model_validate(outline())
    path = tmp_path / "plan.yaml"
    path.write_text(made.to_yaml(), "utf-8")
    assert Outline.from_yaml(path) == made


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("title: [", 1, "no valid YAML"),
        ("title: T\nbrief: B\nwords: 600\nsections:\n- id: '1'\n  title: One\n  words: many\n", 7, "integer"),
        ("title: T\nbrief: B\nwords: 600\nsections:\n- {id: a, title: One, words: 500}\n", 3, "500 words"),
        ("title: T\nbrief: B\nwords: 2\nsections:\n- {id: a, title: A, words: 1, depends_on: [b]}\n"
         "- {id: b, title: B, words: 1, depends_on: [a]}\n", 5, "wait for one another"),
        ("title: T\nbrief: B\nwords: 1\nsections:\n- {id: a, title: A, words: 1, depends_on: [c]}\n", 5, "not exist"),
        ("title: T\nbrief: B\nwords: 2\nsections:\n- {id: a, title: A, words: 1}\n"
         "- {id: a, title: B, words: 1}\n", 6, "the id"),
        ("title: T\nbrief: B\nwords: 2\nsections:\n- {id: a, title: A, words: 1, key_points: [x]}\n"
         "- {id: b, title: B, words: 1, key_points: [X]}\n", 6, "both own"),
        ("title: T\nbrief: B\nwords: 2\ncolour: red\nsections:\n- {id: a, title: A, words: 2}\n", 4, "Extra"),
        ("title: T\nbrief: B\nwords: 303\nsections:\n- {id: a, title: A, words: 300}\n"
         "- {id: b, title: B, words: 3}\n", 6, "10 to 1,200"),
        ("title: T\nbrief: B\nwords: 5000\nsections:\n- id: a\n  title: A\n  words: 5000\n", 7, "10 to 1,200"),
        ("title: T\nbrief: B\nwords: 600\nsections:\n- id: a\n  title: A\n  words: 600\n  children:\n"
         "  - {id: a.1, title: B, words: 300}\n", 7, "its parts have 300"),
        ("", 1, "valid dictionary"),
    ],
)  # fmt: skip
def test_mistakes_in_a_plan_are_named_with_their_line(text: str, line: int, message: str, tmp_path: Path):
    path = tmp_path / "plan.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=message) as caught:
        Outline.from_yaml(path)
    assert f"plan.yaml:{line}:" in str(caught.value)


def test_a_series_puts_each_constraint_into_its_units():
    series = Series(unit="Station", count=120, words_each=80)
    rules = [
        Constraint(kind="once", text="a bridge", start=7),
        Constraint(kind="range", text="rain", start=10, stop=12),
        Constraint(kind="periodic", text="a market", start=5, step=25),
        Constraint(kind="every", text="a clock"),
        Constraint(kind="forbid", text="dragons"),
    ]
    leaves = compile_series(series, rules)
    assert len(leaves) == 120
    assert all("a clock" in leaf.must_mention and leaf.never_mention == ["dragons"] for leaf in leaves)
    assert [leaf.id for leaf in leaves if "a bridge" in leaf.must_mention] == ["7"]
    assert [leaf.id for leaf in leaves if "rain" in leaf.must_mention] == ["10", "11", "12"]
    assert [leaf.id for leaf in leaves if "a market" in leaf.must_mention] == ["5", "30", "55", "80", "105"]
    Outline(title="t", brief="b", words=9600, sections=leaves)
    for bad in (Constraint(kind="once", text="x", start=121), Constraint(kind="range", text="x", start=3, stop=2)):
        with pytest.raises(ValueError):
            compile_series(series, [bad])


def test_leaves_come_in_reading_order():
    inner = [Section(id="1.1", title="a", words=1), Section(id="1.2", title="b", words=1)]
    made = Outline(title="t", brief="b", words=2, sections=[Section(id="1", title="c", words=2, children=inner)])
    assert [leaf.id for leaf in made.leaves()] == ["1.1", "1.2"]
