"""Ships as the harbour master sees them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ship:
    """A ship with its draught and length in metres."""

    name: str
    draught: float
    length: float

    def is_long(self) -> bool:
        """Whether it needs two berths."""
        return self.length > 40.0
