"""The plan over a prefix trie, against a naive account of what it computes."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coa.attribution.prefixes import Fork, forks, shared


def computed(rows: Sequence[list[int]], plan: Sequence[Fork]) -> tuple[int, int]:
    """Tokens and passes of a plan, followed step by step."""
    held: list[int] = []
    tokens = passes = 0
    for fork in plan:
        beginning = rows[fork.rows[0]][: fork.prefix]
        assert all(rows[i][: fork.prefix] == beginning for i in fork.rows)
        new = len(beginning) - shared(beginning, held, len(beginning))
        tokens, passes, held = tokens + new, passes + (new > 0), beginning
        tokens, passes = tokens + sum(len(rows[i]) - fork.prefix for i in fork.rows), passes + 1
    return tokens, passes


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 2), max_size=8), min_size=1, max_size=24),
    st.integers(1, 3),
    st.sampled_from([0, 1, 7, 1000]),
)
def test_every_row_is_computed_once_for_no_more_than_without_a_trie(starts: list[list[int]], tail: int, price: int):
    rows = [[*start, *range(7, 7 + tail)] for start in starts]
    plan = forks(rows, tail, price)
    assert sorted(i for fork in plan for i in fork.rows) == list(range(len(rows)))
    assert all(len(rows[i]) - fork.prefix >= tail for fork in plan for i in fork.rows)
    tokens, passes = computed(rows, plan)
    assert tokens + price * passes <= sum(map(len, rows)) + price


def test_beginnings_are_computed_once_where_that_saves_more_than_a_pass_costs():
    rows = [[1] * 50 + [2] * 40 + [i] * 5 for i in range(4)] + [[1] * 50 + [3] * 40 + [i] * 5 for i in range(4)]
    random.Random(0).shuffle(rows)
    tokens, passes = computed(rows, forks(rows, 2, 10))
    assert (tokens, passes) == (50 + 2 * 40 + 8 * 5, 4)
    tokens, passes = computed(rows, forks(rows, 2, 10_000))
    assert (tokens, passes) == (8 * 95, 1)


@pytest.mark.parametrize("at", [0, 1, 63, 64, 65, 200])
def test_shared_is_the_first_difference(at: int):
    a = list(range(300))
    b = [*a[:at], -1, *a[at + 1 :]]
    assert shared(a, b, 250) == at
    assert shared(a, a, 250) == 250 and shared(a, [], 250) == 0
