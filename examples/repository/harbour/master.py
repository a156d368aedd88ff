"""The harbour master: lets ships in when there is water and a berth."""

from harbour.berths import Quay
from harbour.ships import Ship
from harbour.tides import Tide, clearance


class HarbourMaster:
    """Decides who comes in."""

    def __init__(self, quay: Quay) -> None:
        self._quay = quay
        self.refused: list[str] = []

    def may_enter(self, ship: Ship, tide: Tide) -> bool:
        """Whether there is water for a ship and a place to lie."""
        return clearance(tide, ship.draught) > 0 and bool(self._quay.free_berths())

    def admit(self, ship: Ship, tide: Tide) -> int | None:
        """Give a ship the first free berth; None where it has to wait outside."""
        if not self.may_enter(ship, tide):
            self.refused.append(ship.name)
            return None
        berth = self._quay.free_berths()[0]
        self._quay.assign_berth(ship, berth)
        return berth
