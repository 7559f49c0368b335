"""What a tap did, by the byte that says so in its record (docs/formats/batch.md)."""

from enum import IntEnum


class Ride(IntEnum):
    """What a tap did."""

    BUS = 1
    METRO_ENTRY = 2
    METRO_EXIT = 3
    FERRY = 4
    PURCHASE = 5
    """No ride: something sold at a counter out of the card's purse, at the price that was typed there."""
