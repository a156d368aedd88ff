"""The allocation model: coefficients found again in scores made from them, the best setting, bad tables."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from coa.errors import UsageError
from coa.retrieval.allocation import (
    HIGH,
    LOW,
    Costs,
    Measured,
    Scale,
    Setting,
    fit,
    grid,
    inverse_sigma,
    read_table,
    sigma,
)

A, B, C = (0.325, 0.101, 0.177), (-0.067, -0.008, 0.0), -0.730
SCALES = {
    "hops": Scale(mean=0.5, spread=0.2, document=0.9, shot=0.2),
    "facts": Scale(mean=0.6, spread=0.1, document=2.0, shot=0.6),
    "lists": Scale(mean=0.3, spread=0.05, document=0.1, shot=1.1),
}
SETTINGS = [Setting(documents=k, shots=m, rounds=n) for k in (0, 1, 10, 100) for m in (0, 1, 8) for n in (0, 2, 4)]


def made(task: str, setting: Setting, noise: float = 0.0) -> Measured:
    """A score that follows the published formula, with the paper's coefficients."""
    scale = SCALES[task]
    theta = (setting.documents, setting.shots, setting.rounds + 1)
    x = C + sum((a + b * i) * math.log(t + 0.01) for a, b, i, t in zip(A, B, scale.effects, theta, strict=True))
    y = 3.30 / (1 + math.exp(-1.81 * (x + 0.46))) - 2.18
    return Measured(setting=setting, score=scale.mean + scale.spread * (y + noise), task=task)


def test_the_curve_and_its_inverse() -> None:
    assert sigma(-0.46) == pytest.approx(3.30 / 2 - 2.18)
    assert (sigma(-50), sigma(50)) == pytest.approx((LOW, HIGH))
    for x in (-2.0, -0.5, 0.0, 1.0):
        assert inverse_sigma(sigma(x)) == pytest.approx(x)


def test_coefficients_are_found_again_exactly_without_noise() -> None:
    found = fit([made(task, setting) for task in SCALES for setting in SETTINGS], SCALES)
    assert found.a == pytest.approx(A, abs=1e-6)
    assert found.b == pytest.approx(B, abs=1e-6)
    assert found.c == pytest.approx(C, abs=1e-6)
    assert found.r2 == pytest.approx(1.0)
    assert (found.clipped, found.notes) == (0, ())
    for task in SCALES:
        setting = Setting(documents=50, shots=4, rounds=1)
        assert found.predict(setting, task) == pytest.approx(made(task, setting).score)


def test_noise_costs_accuracy_and_is_seen_in_r2() -> None:
    dice = random.Random(5)
    table = [made(task, setting, dice.gauss(0, 0.1)) for task in SCALES for setting in SETTINGS]
    found = fit(table, SCALES)
    assert 0.5 < found.r2 < 0.999
    assert found.a == pytest.approx(A, abs=0.15)


def test_one_task_and_its_own_scale_still_rank_settings_right() -> None:
    found = fit([made("facts", setting) for setting in SETTINGS if setting.documents])
    assert found.b == (0.0, 0.0, 0.0)
    assert "two tasks" in found.notes[0]
    scores = [
        (made("facts", setting).score, found.predict(setting, "facts")) for setting in SETTINGS if setting.documents
    ]
    pairs = [(x, y) for x in scores for y in scores if x[0] > y[0] + 0.01]
    agree = sum(x[1] > y[1] for x, y in pairs) / len(pairs)
    assert agree > 0.95


def test_the_best_setting_of_a_budget_is_the_one_that_the_true_scores_name() -> None:
    found = fit([made(task, setting) for task in SCALES for setting in SETTINGS], SCALES)
    cost = Costs(document=200, shot=300, prompt=250)
    for task in SCALES:
        for budget in (1_000, 16_000, 128_000):
            choice = found.best(budget, cost, task=task)
            within = [setting for setting in grid() if cost(setting) <= budget]
            assert choice.score == pytest.approx(max(made(task, setting).score for setting in within))
            assert choice.tokens == cost(choice.setting) <= budget
    with pytest.raises(UsageError, match="pay for no setting"):
        found.best(100, cost, task="facts")
    with pytest.raises(UsageError, match="was not measured"):
        found.predict(Setting(documents=1), "other")


def test_costs_are_those_of_the_loop() -> None:
    cost = Costs(document=100, shot=50, prompt=10)
    assert cost(Setting(documents=2)) == 210
    assert cost(Setting(documents=2, shots=1)) == 260
    assert cost(Setting(documents=1, rounds=1)) == 3 * 10 + 100 + 200 + 200


@pytest.mark.parametrize(
    "table",
    [
        [],
        [Measured(setting=Setting(documents=1), score=0.5)],
        [Measured(setting=setting, score=0.5) for setting in SETTINGS],
        [Measured(setting=Setting(documents=k), score=k / 9) for k in range(9)],
        [Measured(setting=setting, score=math.nan) for setting in SETTINGS],
    ],
)
def test_a_table_that_says_too_little_is_refused(table: list[Measured]) -> None:
    with pytest.raises(UsageError) as caught:
        fit(table)
    assert caught.value.hint


def test_a_table_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    rows = [made("facts", setting) for setting in SETTINGS]
    lines = [f"{r.setting.documents},{r.setting.shots},{r.setting.rounds},{r.score!r},{r.task}" for r in rows]
    path.write_text("\n".join(["documents,shots,rounds,score,task", *lines]))
    assert read_table(path) == rows
    path.write_text("documents,shots,rounds,score\n1,0,0,0.5\n1,x,0,0.5\n")
    with pytest.raises(UsageError, match="line 3"):
        read_table(path)
