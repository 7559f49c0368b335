"""Where a terminal stands when a card comes: what it knows by itself, and what speaks against a ride."""

from dataclasses import dataclass
from datetime import datetime

from card.chip.files import PublicData
from clearing.wire.batch import Ride
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.tariff import Tariff, fare_fen
from terminals.hotlist import Hotlist
from terminals.outcome import Refusal
from terminals.trip import Identity


@dataclass(frozen=True, slots=True)
class RideFacts:
    """What the terminal knows of the ride before it sees the card; the list fare is 0 for a metro entry."""

    ride: Ride
    list_fare_fen: int
    linked: bool = False
    full_fare: bool = False
    line: int = 0
    station: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """One moment's facts of a terminal: a value, so that a tap is decided by what was in force when it began."""

    identity: Identity
    tariff: Tariff
    hotlist: Hotlist
    full: bool = False

    def objection(self, public: PublicData, at: datetime, ride: RideFacts) -> Refusal | None:
        """What speaks against the ride before a fare is asked, in the order of `Refusal`."""
        day = at.astimezone(CITY_ZONE).date()
        if self.full:
            return Refusal.OUTBOX_FULL
        if not self.tariff.in_force(day):
            return Refusal.TARIFF_NOT_IN_FORCE
        if public.card_no in self.hotlist.cards:
            return Refusal.HOTLISTED
        if not public.starts <= day <= public.expires:
            return Refusal.NOT_VALID
        if public.holder_class not in self.tariff.class_pay_bp:
            return Refusal.CLASS_UNKNOWN
        if not 0 <= ride.list_fare_fen <= self.tariff.max_fare_fen[ride.ride]:
            return Refusal.FARE_OUT_OF_BOUNDS
        return None

    def fare_fen(self, public: PublicData, ride: RideFacts) -> int:
        """What the holder pays for the ride, in fen."""
        return fare_fen(
            self.tariff, ride=ride.ride, list_fare_fen=ride.list_fare_fen, holder_class=public.holder_class,
            linked=ride.linked, full_fare=ride.full_fare,
        )  # fmt: skip
