"""Topologies by name. One builder and one line in `TOPOLOGIES` add another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from coa.errors import UsageError
from coa.pipelines.base import Pipeline
from coa.pipelines.chain import ChainOfAgents
from coa.pipelines.merge import Merge
from coa.pipelines.side_by_side import hierarchical, map_then_chain, tree
from coa.pipelines.single import Single

TOPOLOGIES: Mapping[str, Callable[[], Pipeline]] = MappingProxyType(
    {
        "chain": ChainOfAgents,
        "tree": tree,
        "map-then-chain": map_then_chain,
        "single": Single,
        "merge": Merge,
        "hierarchical": hierarchical,
    }
)

AUTO = "auto"
"""Not a topology: `coa.pipelines.choosing` picks one once the document is split."""


def resolve_pipeline(topology: str) -> Pipeline:
    """The pipeline of a topology.

    Raises:
        UsageError: for an unknown name.
    """
    if topology not in TOPOLOGIES:
        raise UsageError(f"unknown topology {topology!r}", hint=f"Choose one of: {', '.join(TOPOLOGIES)}, {AUTO}.")
    return TOPOLOGIES[topology]()


def every_pipeline() -> dict[str, Pipeline]:
    """One of each, to be compared."""
    return {name: build() for name, build in TOPOLOGIES.items()}
