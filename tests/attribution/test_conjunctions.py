"""Rules that say which groups help together: found from rows, covered, and told apart by the next rows."""

import random
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from coa.attribution.base import Search
from coa.attribution.conjunctions import Rules
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.robust import RandomHalves
from coa.testing.utilities import SimulatedScorer

RULES = (((2,),), ((1,), (8,)), ((0,), (4,), (9,)), ((1, 3), (5, 7)), ((6,), (2, 4)))


def rows(count: int, seed: int = 3) -> NDArray[np.bool_]:
    rng = random.Random(seed)
    return np.array([[j in row for j in range(10)] for row in (rng.sample(range(10), 6) for _ in range(count))])


def made(rule: tuple[tuple[int, ...], ...], shown: NDArray[np.bool_], noise: float = 1.0) -> NDArray[np.float64]:
    rng = random.Random(str(rule))
    return np.array([6.0 * all(any(row[j] for j in c) for c in rule) + rng.gauss(0, noise) for row in shown])


@pytest.mark.parametrize("rule", RULES)
def test_the_groups_of_the_rule_that_made_the_values_are_kept(rule: tuple[tuple[int, ...], ...]):
    rules, shown = Rules(10), rows(40)
    likely = rules.likely(shown, made(rule, shown), 1.0, 6.0)
    assert likely.sum() == pytest.approx(1.0)
    kept, sureness = rules.covering(likely, 0.9, 5)
    assert set(kept) == {j for clause in rule for j in clause} and sureness >= 0.9


def test_parts_that_each_bring_their_share_are_one_rule():
    shown = rows(40)
    values = np.array([3.0 * row[[1, 4, 6]].sum() + random.Random(i).gauss(0, 1) for i, row in enumerate(shown)])
    rules = Rules(10)
    assert set(rules.covering(rules.likely(shown, values, 1.0, 9.0), 0.9, 5)[0]) == {1, 4, 6}


def test_of_pure_noise_it_is_likeliest_that_no_group_matters():
    rules, shown = Rules(10), rows(64)
    for seed in range(5):
        noise = random.Random(seed)
        likely = rules.likely(shown, np.array([noise.gauss(0, 1) for _ in shown]), 1.0, 6.0)
        assert not rules.within[likely.argmax()].any() and likely.max() > 3 * np.sort(likely)[-2]


def test_of_few_rows_nothing_is_sure():
    rules, few = Rules(10), rows(6)
    assert rules.covering(rules.likely(few, made(RULES[2], few), 1.0, 6.0), 0.9, 5)[1] < 0.9


def test_what_a_rule_holds_is_what_its_words_say():
    """Against every rule written out again, on all sixteen rows of four groups."""
    shown = np.array([[bool(bits >> j & 1) for j in range(4)] for bits in range(16)])
    held = Rules(4).held(shown)
    written = {tuple(column) for column in held.T.tolist()}
    for size in (1, 2, 3, 4):
        for together in combinations(range(4), size):
            assert tuple(float(all(row[j] for j in together)) for row in shown) in written
            assert tuple(float(sum(row[j] for j in together) / size) for row in shown) in written
    assert tuple(float((row[0] or row[2]) and (row[1] or row[3])) for row in shown) in written
    assert tuple(float(row[3] and (row[0] or row[1])) for row in shown) in written


def test_the_next_rows_are_those_that_part_the_likely_rules():
    """Two rules are left, of groups 0 and 1 and of groups 0 and 2: only rows that show one pair alone can tell."""
    rules = Rules(4)
    likely = np.zeros(len(rules.within))
    shown = np.array([[True, True, True, False], [False, True, True, True], [True, True, False, True]])
    held = rules.held(np.array([[True, True, False, False], [True, False, True, False], [True, False, False, False]]))
    for pattern in ([1, 0, 0], [0, 1, 0]):
        likely[int(np.flatnonzero(np.all(np.array(pattern) == held.T, axis=1))[0])] = 0.5
    assert rules.telling(likely, shown, 1, 0.3) == [2]


async def test_chosen_rows_find_three_that_are_needed_among_a_thousand():
    """Noise of an eighth of the gain."""
    right, spent = 0, 0.0
    for seed in range(8):
        scorer = SimulatedScorer(1000, "and3", seed, sigma=0.4, tau=1.0)
        ledger = Ledger(scorer, [2] * 1000, overhead=1)
        v = ClaimUtility(ledger)
        found = await RandomHalves(v, v, Search(noise=1.0, seed=seed), range(1000)).find(8)
        right += scorer.gold <= set(found)
        spent += ledger.usage.equivalents
    assert right >= 7 and spent / 8 < 25


async def test_a_second_call_pays_only_for_rows_that_are_new():
    ledger = Ledger(SimulatedScorer(200, "and2", 1), [2] * 200, overhead=1)
    v = ClaimUtility(ledger)
    halves = RandomHalves(v, v, Search(noise=0.4), range(200))
    first = await halves.find(8)
    before = ledger.usage.equivalents
    assert set(await halves.find(16)) == set(first) and ledger.usage.equivalents - before < before
