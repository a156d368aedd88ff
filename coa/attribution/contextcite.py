"""ContextCite's surrogate (arXiv 2409.00729, section 3): a sparse linear model of v, fitted on random halves."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from coa.attribution.base import Utility

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


async def contextcite(
    utility: Utility, *, k: int = 5, masks: int = 64, alpha: float = 0.01, seed: int = 0
) -> dict[int, float]:
    """The best ``k`` ids by positive weight, best first; ``masks`` coalitions, each segment in it with chance 1/2."""
    import numpy as np

    rng = random.Random(seed)
    shown = np.array([[rng.random() < 0.5 for _ in range(utility.n)] for _ in range(masks)], dtype=np.float64)
    coalitions = [frozenset(np.flatnonzero(row).tolist()) for row in shown]
    target = np.array(await utility.values(coalitions))
    spread = shown.std(axis=0)
    spread[spread == 0] = 1.0
    weights = lasso((shown - shown.mean(axis=0)) / spread, target - target.mean(), alpha) / spread
    best = np.argsort(-weights, kind="stable")[:k]
    return {int(j): float(weights[j]) for j in best if weights[j] > 0}


def lasso(x: NDArray[np.float64], y: NDArray[np.float64], alpha: float, rounds: int = 200) -> NDArray[np.float64]:
    """Minimise ``|y - x w|^2 / (2 rows) + alpha |w|_1`` by coordinate descent; ``x`` is (rows, columns), centred."""
    import numpy as np

    rows, columns = x.shape
    weights = np.zeros(columns)
    scale = (x**2).sum(axis=0) / rows
    residual = y.copy()
    for _ in range(rounds):
        before = weights.copy()
        for j in range(columns):
            if scale[j] == 0:
                continue
            pull = float(x[:, j] @ residual) / rows + scale[j] * weights[j]
            new = np.sign(pull) * max(abs(pull) - alpha, 0.0) / scale[j]
            residual += x[:, j] * (weights[j] - new)
            weights[j] = new
        if np.abs(weights - before).max(initial=0.0) < 1e-6:
            break
    return weights
