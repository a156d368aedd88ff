"""Berths: who lies where."""

from harbour.ships import Ship


class BerthTaken(Exception):
    """Somebody lies there already."""


class Quay:
    """A row of berths, counted from 1."""

    def __init__(self, berths: int) -> None:
        self._ships: dict[int, Ship] = {}
        self._berths = berths

    def free_berths(self) -> list[int]:
        """The numbers of the berths where nobody lies."""
        return [number for number in range(1, self._berths + 1) if number not in self._ships]

    def assign_berth(self, ship: Ship, number: int) -> None:
        """Let a ship lie at a berth."""
        if number in self._ships:
            raise BerthTaken(f"berth {number} is taken by {self._ships[number].name}")
        self._ships[number] = ship

    def release_berth(self, number: int) -> Ship:
        """Let a ship leave its berth."""
        return self._ships.pop(number)
