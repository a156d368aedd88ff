"""Tides: when the water is high enough for a hull."""

from dataclasses import dataclass

QUAY_DEPTH = 3.2


@dataclass
class Tide:
    """The height of the water above the chart, in metres, at an hour of the day."""

    hour: float
    height: float


def depth_at(tide: Tide) -> float:
    """Water at the quay, in metres."""
    return QUAY_DEPTH + tide.height


def clearance(tide: Tide, draught: float, margin: float = 0.4) -> float:
    """What is left below a keel, in metres; negative where it would touch the ground."""
    return depth_at(tide) - draught - margin
