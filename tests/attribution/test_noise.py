"""What noise alone brings is not cited, and what a finding must bring follows the noise."""

import pytest

from coa.attribution.auto import find_causes
from coa.attribution.base import Search, Segment
from coa.attribution.ledger import ClaimUtility, Ledger
from coa.attribution.segments import shortlist
from coa.attribution.shapley import exact_shapley
from coa.attribution.views import views_of
from coa.testing.utilities import Family, SimulatedScorer
from coa.types import Span


def utility(n: int, family: Family, seed: int, *, sigma: float = 0.15, tau: float = 0.4) -> tuple[ClaimUtility, Ledger]:
    ledger = Ledger(SimulatedScorer(n, family, seed, sigma=sigma, tau=tau), [2] * n, overhead=1)
    return ClaimUtility(ledger), ledger


@pytest.mark.parametrize(("sigma", "tau"), [(0.4, 1.0), (0.8, 2.0)])
async def test_where_nothing_explains_a_claim_hardly_anything_is_cited(sigma: float, tau: float):
    """But for one seed in twenty, however large the noise is."""
    cited = 0
    for seed in range(20):
        v, _ = utility(100, "none", seed, sigma=sigma, tau=tau)
        cited += bool((await find_causes(v, Search(seed=seed))).causes)
    assert cited <= 1


async def test_what_a_finding_must_bring_grows_with_the_noise_and_with_what_is_tried():
    async def least(n: int, tau: float) -> float:
        v, _ = utility(n, "none", 1, tau=tau)
        return (await views_of(v, Search()))[1].least

    assert await least(8, 2.0) == 0  # too few to tell the noise
    assert await least(100, 0.0) < 0.5 < await least(100, 0.4) < await least(100, 2.0) < await least(10_000, 2.0) < 5


async def test_the_middle_of_shapley_values_may_be_scored_by_another_view():
    fine, fine_ledger = utility(40, "redundant5", 0)
    middle, middle_ledger = utility(40, "redundant5", 0)
    players = sorted(SimulatedScorer(40, "redundant5", 0).gold)
    split = await exact_shapley(fine, players, middle)
    assert (fine_ledger.usage.calls, middle_ledger.usage.calls) == (2 + 5 + 5, 10 + 10)
    assert split == pytest.approx(await exact_shapley(fine, players))


def test_beyond_the_window_an_uninformative_prior_keeps_what_comes_first_and_leaves_the_rest_unexamined():
    segments = [Segment(span=Span(doc="d", start=i, end=i + 1), text=f"Filler {i} says.", tokens=5) for i in range(40)]
    kept = shortlist(segments, "Zinc lay beneath an organ.", 50)
    assert [segment.span.start for segment in kept] == list(range(10))
