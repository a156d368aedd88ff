"""What really ran: written by the workers into one small file, read by the launcher and by ``/metrics``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from coa.serving.sparse.config import SparseConfig

METRICS = "coa_sparse_attention"


class Report:
    """Counts of one worker, written at the first call and now and then."""

    def __init__(self, config: SparseConfig, path: str | None) -> None:
        self.config, self.path = config, Path(path) if path else None
        self.calls = self.kept = self.allowed = 0

    def add(self, kept: int, allowed: int) -> None:
        """One more call of attention; of ``allowed`` pairs of query and key it looked at ``kept``."""
        self.calls += 1
        self.kept, self.allowed = self.kept + kept, self.allowed + allowed
        if self.path is not None and (self.calls & (self.calls - 1) == 0 or self.calls % 256 == 0):
            part = self.path.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(self.state()), encoding="utf-8")
            part.replace(self.path)

    def state(self) -> dict[str, Any]:
        """The counts, the share of pairs that were looked at, and by which settings."""
        density = self.kept / self.allowed if self.allowed else 1.0
        config = self.config
        return {"method": config.method, "settings": config.settings, "calls": self.calls, "density": density}


def read(path: str | Path | None) -> dict[str, Any] | None:
    """What a worker wrote; None if none has."""
    try:
        return json.loads(Path(path or os.devnull).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class _Collector:
    """Prometheus reads the file when it is asked."""

    def __init__(self, path: str | None) -> None:
        self.path = path

    def collect(self) -> Iterator[Any]:
        core: Any = import_module("prometheus_client.core")
        found = read(self.path) or {"method": "none", "settings": "", "calls": 0, "density": 1.0}
        for name, what in (("calls", "Calls of sparse attention."), ("density", "Share of keys seen.")):
            gauge = core.GaugeMetricFamily(f"{METRICS}_{name}", what, labels=["method", "settings"])
            gauge.add_metric([found["method"], found["settings"]], found[name])
            yield gauge


def show_in_metrics() -> None:
    """Add the counts to ``/metrics`` of this process, once."""
    from coa.serving.vllm_plugin import REPORT_VARIABLE

    registry: Any = import_module("prometheus_client").REGISTRY
    if f"{METRICS}_calls" not in registry._names_to_collectors:
        registry.register(_Collector(os.environ.get(REPORT_VARIABLE)))
