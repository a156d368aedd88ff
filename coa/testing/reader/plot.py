"""Loss and share of right answers over a training run, as an SVG file: no plotting library needed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 240, 50, 24
_WINDOW = 12


def write(folder: Path) -> Path:
    """Draw ``training.svg`` from ``log.jsonl`` in the same folder."""
    log = (folder / "log.jsonl").read_text(encoding="utf-8") if (folder / "log.jsonl").exists() else ""
    rows: list[dict[str, Any]] = [json.loads(line) for line in log.splitlines()]
    tokens = [row["tokens"] / 1e6 for row in rows]
    panels = [
        _panel("loss (logarithm)", tokens, _smooth([math.log10(max(1e-6, row["loss"])) for row in rows]), 0),
        _panel("answers right in training", tokens, _smooth([row["right"] for row in rows]), 1),
    ]
    height = len(panels) * (_HEIGHT + 2 * _TOP)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH + 2 * _LEFT}" height="{height}"'
    path = folder / "training.svg"
    style = 'font-family="sans-serif" font-size="12"'
    path.write_text(f'{head} {style}><rect width="100%" height="100%" fill="white"/>{"".join(panels)}</svg>\n', "utf-8")
    return path


def _smooth(values: Sequence[float]) -> list[float]:
    """The mean of the last dozen."""
    return [sum(part) / len(part) for i in range(len(values)) if (part := values[max(0, i - _WINDOW + 1) : i + 1])]


def _panel(title: str, x: Sequence[float], y: Sequence[float], number: int) -> str:
    top = number * (_HEIGHT + 2 * _TOP) + _TOP
    if not x:
        return f'<text x="{_LEFT}" y="{top}">{title}: no log</text>'
    low, high = min(y), max(y)
    span = (high - low) or 1.0
    points = " ".join(
        f"{_LEFT + _WIDTH * a / x[-1]:.1f},{top + _HEIGHT * (high - b) / span:.1f}" for a, b in zip(x, y, strict=True)
    )
    marks = "".join(
        f'<text x="{_LEFT - 6}" y="{top + _HEIGHT * part + 4:.0f}" text-anchor="end">{high - span * part:.2f}</text>'
        for part in (0.0, 0.5, 1.0)
    )
    frame = f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>'
    under = f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 16}" text-anchor="end">{x[-1]:.0f} M tokens</text>'
    line = f'<polyline points="{points}" fill="none" stroke="#06c" stroke-width="1.5"/>'
    return f'<text x="{_LEFT}" y="{top - 6}">{title}</text>{frame}{marks}{under}{line}'
