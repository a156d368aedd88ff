"""For tests of this library and of yours: scripted models, a server that fails as it is told, conformance suites."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coa.testing.conformance import check_failure, check_model
    from coa.testing.faults import FAULTS, Fault, FaultServer
    from coa.testing.journals import check_journal
    from coa.testing.retrievers import check_retriever
    from coa.testing.scripted import ScriptedModel
    from coa.testing.stores import check_store

__all__ = [
    "FAULTS",
    "Fault",
    "FaultServer",
    "ScriptedModel",
    "check_failure",
    "check_journal",
    "check_model",
    "check_retriever",
    "check_store",
]

_HOMES = {
    "ScriptedModel": "scripted",
    "check_failure": "conformance",
    "check_journal": "journals",
    "check_model": "conformance",
    "check_retriever": "retrievers",
    "check_store": "stores",
}


def __getattr__(name: str) -> Any:
    """Loaded on first use, so that ``python -m coa.testing.faults`` runs the only copy of that module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'faults')}"), name)
