"""How to spend a budget of input tokens: documents, examples or rounds (arXiv 2410.04343, section 5).

The model is fitted to scores that the user has measured. With theta = (documents, shots, rounds), per task::

    inverse_sigma(P(theta)) = sum_j (a_j + b_j * i_j) * ln(theta_j + 0.01) + c

P is the score, z-normalised per task; ``i`` says how much one document and one shot alone help on this task (0 for
rounds); ``sigma`` is the paper's S-curve. It says where to look next, not what a model can do: see
docs/iterative-retrieval.md.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from coa.errors import UsageError
from coa.retrieval.iterate.cost import input_tokens
from coa.textfile import read_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LOW, HIGH = -2.18, 3.30 - 2.18
_STEEP, _SHIFT, _HEIGHT = 1.81, 0.46, 3.30
_OFFSET = 0.01
_EDGE = 0.02
_LEAST_SPREAD = 1e-9
_PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Setting:
    """What can be turned up.

    Attributes:
        documents: Passages of one search, or documents.
        shots: Worked examples in the prompt.
        rounds: Follow-up questions; 0 is one call. The paper counts iterations: one more.
    """

    documents: int
    shots: int = 0
    rounds: int = 0

    @property
    def logs(self) -> tuple[float, float, float]:
        """``ln(theta + 0.01)`` of each part; rounds count as iterations, so that one call is ``ln(1.01)``."""
        k, m, n = (math.log(part + _OFFSET) for part in (self.documents, self.shots, self.rounds + 1))
        return k, m, n


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A score, higher is better, that was measured with a setting on a task."""

    setting: Setting
    score: float
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How a task's scores are normalised, and how much one document and one shot alone raise them, normalised."""

    mean: float
    spread: float
    document: float = 0.0
    shot: float = 0.0

    @property
    def effects(self) -> tuple[float, float, float]:
        """The ``i`` of the model."""
        return self.document, self.shot, 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A setting with what it costs and what the model expects of it, in the task's own scores."""

    setting: Setting
    tokens: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """A fitted model.

    Attributes:
        a: What more documents, shots and rounds give on any task.
        b: What they give beyond that where the first one helped; zeros where one task, or no effect, was measured.
        c: The constant.
        r2: Share of the variance that the fit explains, of the scores brought back through the curve.
        scales: Of each task.
        clipped: Scores outside the curve's range, taken as its edge.
        notes: What could not be fitted.
    """

    a: tuple[float, float, float]
    b: tuple[float, float, float]
    c: float
    r2: float
    scales: Mapping[str, Scale]
    clipped: int = 0
    notes: tuple[str, ...] = ()

    def predict(self, setting: Setting, task: str = "") -> float:
        """The expected score, in the task's own scores.

        Raises:
            UsageError: the task was not measured.
        """
        if task not in self.scales:
            raise UsageError(f"task {task!r} was not measured", hint=f"Measured are: {', '.join(sorted(self.scales))}.")
        scale = self.scales[task]
        total = self.c
        for a, b, i, log in zip(self.a, self.b, scale.effects, setting.logs, strict=True):
            total += (a + b * i) * log
        return scale.mean + scale.spread * sigma(total)

    def best(
        self, budget: int, cost: Callable[[Setting], int], *, task: str = "", among: Iterable[Setting] | None = None
    ) -> Choice:
        """The setting that is expected to score best within a budget; the cheaper one of two that score the same.

        Args:
            budget: Input tokens of all calls together.
            cost: Those of a setting; `Costs` makes one.
            task: Which of the measured tasks.
            among: What to choose from; `grid` by default.

        Raises:
            UsageError: the budget pays for nothing.
        """
        paid = [(setting, cost(setting)) for setting in (grid() if among is None else among)]
        within = [(setting, tokens) for setting, tokens in paid if tokens <= budget]
        if not within:
            least = min((tokens for _, tokens in paid), default=0)
            raise UsageError(f"{budget} tokens pay for no setting", hint=f"The cheapest one takes {least}.")
        scored = [Choice(setting=s, tokens=tokens, score=self.predict(s, task)) for s, tokens in within]
        return max(scored, key=lambda choice: (choice.score, -choice.tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Tokens of one document, one shot, and the rest of a prompt: called with a setting, its effective context."""

    document: int = 1024
    shot: int = 1024
    prompt: int = 300

    def __call__(self, setting: Setting) -> int:
        """Input tokens of all calls together, at most."""
        beside = self.prompt + setting.shots * self.shot
        return input_tokens(setting.documents * self.document, beside, setting.rounds)


def grid(documents: int = 1000, shots: int = 256, rounds: int = 5) -> list[Setting]:
    """The settings worth trying: about equal steps of the logarithm, up to the paper's limits."""
    steps = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
    powers = (0, *(2**n for n in range(9)))
    return [
        Setting(documents=k, shots=m, rounds=n)
        for k, m, n in product(steps, powers, range(rounds + 1))
        if k <= documents and m <= shots
    ]


def sigma(x: float) -> float:
    """The paper's curve from a linear estimate to a normalised score."""
    return _HEIGHT / (1 + math.exp(-_STEEP * (x + _SHIFT))) + LOW


def inverse_sigma(y: float) -> float:
    """The way back; ``y`` lies between `LOW` and `HIGH`."""
    return -math.log(_HEIGHT / (y - LOW) - 1) / _STEEP - _SHIFT


def fit(table: Sequence[Measured], scales: Mapping[str, Scale] | None = None) -> Allocation:
    """Fit the model to measured scores, by least squares.

    Args:
        table: At least two settings of each part that shall be fitted, seven or more rows are wise.
        scales: How to normalise, where that is known; else from the scores themselves.

    Raises:
        UsageError: too few rows, a part that never changes, or a task with one score only.
    """
    import numpy as np

    known = dict(scales or _scales(table))
    notes: list[str] = []
    with_effects = _effects_known(known, notes)
    rows: list[list[float]] = []
    targets: list[float] = []
    clipped = 0
    for measured in table:
        scale, logs = known[measured.task], measured.setting.logs
        y = (measured.score - scale.mean) / scale.spread
        bounded = min(max(y, LOW + _EDGE), HIGH - _EDGE)
        clipped += bounded != y
        rows.append([*logs, *((scale.document * logs[0], scale.shot * logs[1]) if with_effects else ()), 1.0])
        targets.append(inverse_sigma(bounded))
    matrix, wanted = np.array(rows), np.array(targets)
    _check_rank(matrix, with_effects)
    found: NDArray[np.float64] = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    values = [float(value) for value in found]
    b = (values[_PARTS], values[_PARTS + 1], 0.0) if with_effects else (0.0, 0.0, 0.0)
    left = float(np.sum((matrix @ found - wanted) ** 2))
    total = float(np.sum((wanted - wanted.mean()) ** 2))
    return Allocation(
        a=(values[0], values[1], values[2]),
        b=b,
        c=values[-1],
        r2=1 - left / total if total > _LEAST_SPREAD else 1.0,
        scales=known,
        clipped=clipped,
        notes=tuple(notes),
    )


def _check_rank(matrix: NDArray[np.float64], with_effects: bool) -> None:
    import numpy as np

    width = matrix.shape[1]
    if matrix.shape[0] < width or int(np.linalg.matrix_rank(matrix)) < width:
        parts = "documents, shots and rounds" + (", on tasks that they help differently" if with_effects else "")
        raise UsageError(
            f"{matrix.shape[0]} rows do not determine {width} coefficients",
            hint=f"Measure more settings, so that each of {parts} changes alone at least once.",
        )


def _scales(table: Sequence[Measured]) -> dict[str, Scale]:
    by_task: dict[str, list[Measured]] = {}
    for measured in table:
        by_task.setdefault(measured.task, []).append(measured)
    if not by_task:
        raise UsageError("nothing was measured", hint="Give rows of documents, shots, rounds and score.")
    return {task: _scale(task, rows) for task, rows in by_task.items()}


def _scale(task: str, rows: Sequence[Measured]) -> Scale:
    scores = [measured.score for measured in rows]
    if not all(math.isfinite(score) for score in scores):
        raise UsageError(f"task {task!r} has a score that is no number", hint="Leave that row out.")
    mean = sum(scores) / len(scores)
    spread = math.sqrt(sum((score - mean) ** 2 for score in scores) / len(scores))
    if spread < _LEAST_SPREAD:
        raise UsageError(f"all scores of task {task!r} are the same", hint="Measure settings that differ more.")
    at = {measured.setting: (measured.score - mean) / spread for measured in rows}
    nothing, document, shot = Setting(documents=0), Setting(documents=1), Setting(documents=0, shots=1)
    if not {nothing, document, shot} <= at.keys():
        return Scale(mean=mean, spread=spread, document=math.nan, shot=math.nan)
    return Scale(mean=mean, spread=spread, document=at[document] - at[nothing], shot=at[shot] - at[nothing])


def _effects_known(scales: dict[str, Scale], notes: list[str]) -> bool:
    """Whether ``b`` can be fitted; without it the effects are taken as none."""
    unknown = [task for task, scale in scales.items() if math.isnan(scale.document)]
    for task in unknown:
        scales[task] = Scale(mean=scales[task].mean, spread=scales[task].spread)
    if unknown and len(scales) > 1:
        notes.append(
            "b is taken as 0: (documents, shots, rounds) = (0, 0, 0), (1, 0, 0) and (0, 1, 0) were not all measured of "
            f"{', '.join(sorted(unknown))}"
        )
    if not unknown and len(scales) > 1 and len({scale.effects for scale in scales.values()}) < 2:
        notes.append("b is taken as 0: the tasks do not differ in what one document or shot does")
        return False
    if len(scales) == 1:
        notes.append("b is taken as 0: it takes two tasks to tell it from a")
    return not unknown and len(scales) > 1


def read_table(path: str | Path) -> list[Measured]:
    """Measured scores from a CSV file with the columns ``documents,shots,rounds,score`` and perhaps ``task``.

    Raises:
        InputNotFound: there is no such file.
        InputUnreadable: it cannot be read as UTF-8.
        UsageError: a column is missing, or a value is no number.
    """
    lines = list(csv.DictReader(read_text(path).splitlines()))
    return [_measured(line, number, path) for number, line in enumerate(lines, 2)]


def _measured(line: Mapping[str, str | None], number: int, path: str | Path) -> Measured:
    try:
        counts = [int(line[name] or "") for name in ("documents", "shots", "rounds")]
        score = float(line["score"] or "")
    except (KeyError, ValueError):
        counts, score = [-1], 0.0
    if min(counts) < 0:
        raise UsageError(
            f"line {number} of {str(path)!r} is no measurement",
            hint="The first line is documents,shots,rounds,score, perhaps with ,task; numbers follow.",
        )
    setting = Setting(documents=counts[0], shots=counts[1], rounds=counts[2])
    return Measured(setting=setting, score=score, task=line.get("task") or "")
