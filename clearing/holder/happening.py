"""One thing that happened to a holder's money, and its place in the list of all."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from clearing.verdict import Money


class Sort(StrEnum):
    """Where a happening is kept; of several at one instant, the first in this order is the first in the list."""

    MOVEMENT = "movement"
    LOAD = "load"
    TOPUP = "topup"
    PAYMENT = "payment"
    RIDE = "ride"
    TAP = "tap"


class Standing(StrEnum):
    """What became of the money."""

    CLEARED = "cleared"
    PENDING = "pending"
    NOT_CHARGED = "not_charged"
    GIVEN_BACK = "given_back"


OF_MONEY = {
    Money.PAID: Standing.CLEARED,
    Money.SUSPENDED: Standing.PENDING,
    Money.REJECTED: Standing.NOT_CHARGED,
    Money.NONE: Standing.NOT_CHARGED,
}
"""How clearing's word for a tap's money reads to its holder."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a happening stands in the list: `key` is its key within its sort."""

    at: datetime
    sort: Sort
    key: tuple[Any, ...]

    @property
    def order(self) -> tuple[datetime, int]:
        """Sorts descending as the list does; what is alike here comes from one source, in its own order."""
        return self.at, -tuple(Sort).index(self.sort)


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened; fields that a sort does not have are empty.

    `amount_fen` is above zero where money came to the holder. `discount_fen` is what a ride cost less than its
    list fare. `pockets` says from where a payment was paid, in fen; `reference` is the payment's own.
    """

    place: Place
    kind: str
    amount_fen: int
    standing: Standing
    party: str = ""
    card_no: str = ""
    line: int | None = None
    station: int | None = None
    verdict: str = ""
    discount_fen: int = 0
    reference: str = ""
    note: str = ""
    pockets: tuple[tuple[str, int], ...] = ()
    refunded_fen: int = 0
