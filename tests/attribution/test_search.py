"""Searches against utilities whose sources are known, and against naive rewritings of what they do."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coa.attribution.auto import candidates, find_causes
from coa.attribution.base import Coalition, Kind, Scorer, Search
from coa.attribution.contextcite import contextcite, lasso
from coa.attribution.ledger import ClaimUtility, Ledger, trie_order
from coa.attribution.shapley import exact_shapley
from coa.attribution.tracllm import informed_search, leave_one_out, single_text_contribution, tracllm
from coa.testing.utilities import FAMILIES, Family, SimulatedScorer

Value = Callable[[Coalition], float]


class Table:
    """A utility given as a function; counts what is asked."""

    kind: Kind = "logprobs"
    label = "table"
    offsets = (0,)

    def __init__(self, value: Callable[[Coalition], float]) -> None:
        self.value = value
        self.scored: list[Coalition] = []

    async def logprobs(self, coalitions: Sequence[Coalition]) -> list[NDArray[np.float64]]:
        self.scored += coalitions
        return [np.array([self.value(coalition)]) for coalition in coalitions]


def utility(scorer: Scorer, n: int, **limits: Any) -> tuple[ClaimUtility, Ledger]:
    ledger = Ledger(scorer, [2] * n, overhead=1, **limits)
    return ClaimUtility(ledger), ledger


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(3))
async def test_auto_finds_exactly_the_sources(family: Family, seed: int):
    scorer = SimulatedScorer(100, family, seed)
    v, ledger = utility(scorer, 100)
    found = await find_causes(v, Search(seed=seed))
    assert {cause.segment for cause in found.causes} == scorer.gold
    assert found.certified == bool(scorer.gold)
    assert (found.verdict == "not explained by the context") == (not scorer.gold)
    assert ledger.usage.equivalents < (7 if family in ("single", "redundant5", "poison", "parts3", "none") else 45)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [1000, 10_000])
async def test_auto_finds_the_sources_among_thousands(family: Family, n: int):
    scorer = SimulatedScorer(n, family, 0)
    v, ledger = utility(scorer, n)
    found = await find_causes(v, Search())
    assert {cause.segment for cause in found.causes} == scorer.gold
    assert ledger.usage.equivalents < 100


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6, 11])
async def test_few_segments_are_no_trouble(n: int):
    for gold in {0, n - 1}:
        scorer = Table(lambda shown, gold=gold: -10.0 + 8.0 * (gold in shown))
        v, _ = utility(scorer, n)
        found = await find_causes(v, Search())
        assert [cause.segment for cause in found.causes] == [gold] and found.certified
        assert found.causes[0].role == "sufficient" and found.causes[0].phi == pytest.approx(8.0)
        assert gold in await tracllm(v) and gold in await contextcite(v)


async def test_no_segments_explain_nothing():
    v, _ = utility(Table(lambda shown: -3.0), 0)
    found = await find_causes(v, Search())
    assert found.causes == () and not found.certified
    assert await tracllm(v) == {}


async def test_roles_say_how_segments_work_together():
    def needs_both(shown: Coalition) -> float:
        return -10 + 8.0 * ({3, 40} <= shown)

    v, _ = utility(Table(needs_both), 60)
    found = await find_causes(v, Search())
    assert {cause.segment: cause.role for cause in found.causes} == {3: "needed", 40: "needed"}

    v, _ = utility(Table(lambda shown: -10 + 8.0 * bool({3, 40} & shown)), 60)
    found = await find_causes(v, Search())
    assert {cause.segment: cause.role for cause in found.causes} == {3: "copy", 40: "copy"}


@pytest.mark.parametrize("family", ["and3", "and2x2", "redundant5"])
async def test_noise_of_two_nats_hides_little(family: Family):
    """A quarter of the whole gain: most of what a noiseless search finds is still found, and little else."""
    right = named = sources = 0
    for seed in range(6):
        scorer = SimulatedScorer(100, family, seed, sigma=0.8, tau=2.0)
        v, _ = utility(scorer, 100)
        found = {cause.segment for cause in (await find_causes(v, Search(seed=seed))).causes}
        right, named, sources = right + len(found & scorer.gold), named + len(found), sources + len(scorer.gold)
    assert right >= 0.8 * sources and right >= 0.8 * named


async def test_what_was_picked_by_chance_does_not_stand_a_second_look():
    """Nothing explains the claim, the noise is large: in most cases nothing is cited, and never at every seed."""
    cited = 0
    for seed in range(10):
        v, _ = utility(SimulatedScorer(100, "none", seed, sigma=0.4, tau=1.0), 100)
        cited += bool((await find_causes(v, Search(seed=seed))).causes)
    assert cited <= 3


async def test_a_budget_is_never_exceeded_and_its_result_is_not_certified():
    for calls in (0, 1, 5, 12, 30, 60):
        scorer = SimulatedScorer(100, "and2", 1)
        counting = Table(scorer.value)
        v, ledger = utility(counting, 100, max_calls=calls)
        found = await find_causes(v, Search())
        assert len(counting.scored) == ledger.usage.calls <= calls
        assert not found.certified and not found.complete
    v, ledger = utility(SimulatedScorer(100, "and2", 1), 100, max_equivalents=10.0)
    await find_causes(v, Search())
    assert ledger.usage.equivalents <= 10.0


async def test_a_budget_that_ends_leaves_the_candidates_of_the_rows_that_were_scored():
    """Three sentences needed together, noise a quarter of the gain, half of the tokens that the search wants."""
    right = named = sources = unfinished = 0
    for seed in range(8):
        scorer = SimulatedScorer(100, "and3", seed, sigma=0.8, tau=2.0)
        v, ledger = utility(scorer, 100, max_equivalents=36.0)
        found = await find_causes(v, Search(seed=seed))
        assert ledger.usage.equivalents <= 36.0
        named_now = {cause.segment for cause in found.causes}
        right, named, sources = right + len(named_now & scorer.gold), named + len(named_now), sources + 3
        if found.method == "candidates":
            assert not found.certified and not found.complete and found.verdict == "unfinished"
            assert {cause.role for cause in found.causes} <= {"candidate"}
            unfinished += bool(found.causes)
    assert unfinished >= 3 and right >= 0.5 * sources and right >= 0.6 * named


async def test_candidates_that_bring_no_more_than_chance_are_not_named():
    noise = SimulatedScorer(100, "none", 0, tau=0.4)
    for scorer, expected in ((noise, 0), (SimulatedScorer(100, "and2", 0), 2)):
        leading = [3, 4] if scorer is noise else sorted(scorer.gold)
        v, ledger = utility(scorer, 100, max_equivalents=0.2)
        found = await candidates(v, leading, Search(least=3.0))
        assert len(found.causes) == expected and ledger.usage.equivalents <= 0.2
        assert found.verdict == "unfinished" and np.isnan(found.v_all) and np.isnan(found.v_without)
    v, ledger = utility(noise, 100, max_calls=0)
    assert [cause.role for cause in (await candidates(v, [3], Search())).causes] == ["candidate"]


async def test_the_ledger_gives_what_one_by_one_scoring_gives_and_pays_once():
    scorer = SimulatedScorer(12, "parts3", 0)
    counting = Table(scorer.value)
    _, ledger = utility(counting, 12)
    rng = random.Random(0)
    asked = [frozenset(i for i in range(12) if rng.random() < 0.5) for _ in range(200)]
    values = [float(row[0]) for row in await ledger.logprobs(asked + asked)]
    assert values == [scorer.value(each) for each in asked + asked]
    assert len(counting.scored) == len(set(asked)) == ledger.usage.calls
    assert counting.scored == trie_order(list(dict.fromkeys(asked)))
    assert ledger.usage.asked == 400 and ledger.usage.rounds == 1


async def test_exact_shapley_is_the_mean_over_all_orders():
    from itertools import permutations

    scorer = SimulatedScorer(20, "and2x2", 2)
    players = sorted(scorer.gold)
    v, _ = utility(scorer, 20)
    phi = await exact_shapley(v, players)
    orders = list(permutations(players))
    for player in players:
        gains = [
            scorer.value(frozenset(order[: order.index(player) + 1]))
            - scorer.value(frozenset(order[: order.index(player)]))
            for order in orders
        ]
        assert phi[player] == pytest.approx(sum(gains) / len(gains))


def naive_search(value: Value, n: int, k: int, score: Callable[[Value, list[list[int]]], list[float]]) -> list[int]:
    """The published search, one step at a time, without a memo."""
    nodes = [list(range(n))]
    while any(len(node) > 1 for node in nodes):
        cut: list[list[int]] = []
        for node in nodes:
            half = len(node) // 2
            cut += [node[:half], node[half:]] if half else [node]
        nodes = cut
        if len(nodes) > k:
            scores = score(value, nodes)
            best = sorted(range(len(nodes)), key=lambda j: -scores[j])[:k]
            nodes = [nodes[j] for j in sorted(best)]
    return [node[0] for node in nodes]


def naive_stc(value: Value, nodes: list[list[int]]) -> list[float]:
    return [value(frozenset(node)) - value(frozenset()) for node in nodes]


def naive_loo(value: Value, nodes: list[list[int]]) -> list[float]:
    everything = frozenset(i for node in nodes for i in node)
    return [value(everything) - value(everything - frozenset(node)) for node in nodes]


@pytest.mark.parametrize("family", ["single", "redundant5", "parts3", "and2x2"])
@pytest.mark.parametrize("n", [6, 50, 97])
async def test_informed_search_gives_the_ids_of_the_published_algorithm(family: Family, n: int):
    scorer = SimulatedScorer(n, family, 4)
    v, _ = utility(scorer, n)
    for ours, naive in ((single_text_contribution, naive_stc), (leave_one_out, naive_loo)):
        assert sorted(await informed_search(v, ours)) == naive_search(scorer.value, n, 5, naive)


async def test_the_ensemble_pays_at_most_sixty_percent_of_what_it_asks():
    ratios: list[float] = []
    for seed in range(3):
        v, ledger = utility(SimulatedScorer(100, "redundant5", seed), 100)
        ids = await tracllm(v, seed=seed)
        assert len(ids) == 5
        ratios.append(ledger.usage.calls / ledger.usage.asked)
    assert sum(ratios) / len(ratios) <= 0.62


def test_lasso_finds_a_sparse_signal():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 30))
    x -= x.mean(axis=0)
    y = 3 * x[:, 4] - 2 * x[:, 9]
    weights = lasso(x, y - y.mean(), 0.01)
    assert weights[4] == pytest.approx(3, abs=0.05) and weights[9] == pytest.approx(-2, abs=0.05)
    assert np.abs(np.delete(weights, [4, 9])).max() < 0.05
