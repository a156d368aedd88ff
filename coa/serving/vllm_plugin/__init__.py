"""A plug-in of vLLM (entry point ``vllm.general_plugins``): sparse attention for models that were trained dense.

vLLM loads it in the API server, the engine and every worker of every server of its environment, so it does nothing
unless ``COA_SPARSE_CONFIG`` is set. vLLM goes on dense, with a line in its log, when a backend cannot be had: what
really ran is therefore written to ``COA_SPARSE_REPORT`` and shown under ``/metrics``.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

CONFIG_VARIABLE = "COA_SPARSE_CONFIG"
REPORT_VARIABLE = "COA_SPARSE_REPORT"
BACKEND = "COA_SPARSE"

_CPU = "coa.serving.vllm_plugin.cpu.SparseCPUBackend"
_CUDA = "coa.serving.vllm_plugin.cuda.SparseFlashBackend"


def register() -> None:
    """Offer the backend to vLLM; called many times, in many processes."""
    if not os.environ.get(CONFIG_VARIABLE):
        return
    registry: Any = import_module("vllm.v1.attention.backends.registry")
    known: Any = registry.AttentionBackendEnum
    if import_module("vllm.platforms").current_platform.is_cpu():
        # The CPU platform ignores --attention-backend: overriding its only one is the way in.
        registry.register_backend(known.CPU_ATTN, _CPU)
    elif BACKEND not in known.__members__:
        registry.register_backend(BACKEND, _CUDA)
    from coa.serving.vllm_plugin.report import show_in_metrics

    show_in_metrics()
