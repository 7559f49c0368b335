"""The trip record that a validator writes on the card together with the debit (JT/T 978, file 1E)."""

from dataclasses import dataclass

from card.chip.records import PAID_AREA_SFI, TRIP_SFI, PaidArea, TripKind, TripRecord
from card.chip.state import PAID_AREA_ID, TRIP_ID
from clearing.wire.batch import Ride, TapRecord
from clearing.wire.journey import INDUSTRIES

_KINDS = {
    Ride.BUS: TripKind.SINGLE,
    Ride.FERRY: TripKind.SINGLE,
    Ride.METRO_ENTRY: TripKind.ENTRY,
    Ride.METRO_EXIT: TripKind.EXIT,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the terminal is: 12 hex characters of its own, and the codes it writes on cards, in hex."""

    terminal: str
    city: str = "5840"
    operator_code: str = "0000"
    acquirer: str = "01021000FFFFFFFF"


def trip_of(identity: Identity, tap: TapRecord) -> bytes:
    """The 48 bytes that tell the rider's card of this ride; the balance in them is the one after it."""
    return TripRecord(
        kind=_KINDS[tap.ride],
        terminal=bytes(2) + bytes.fromhex(tap.terminal),
        industry=INDUSTRIES[tap.ride],
        line=tap.line.to_bytes(2, "big"),
        station=tap.station.to_bytes(2, "big"),
        operator=bytes.fromhex(identity.operator_code),
        amount_fen=tap.amount_fen,
        balance_fen=tap.balance_before_fen - tap.amount_fen,
        moment=tap.moment,
        city=bytes.fromhex(identity.city),
        acquirer=bytes.fromhex(identity.acquirer),
    ).pack()


def trip_records(identity: Identity, tap: TapRecord) -> list[tuple[int, int, bytes]]:
    """All that is written on the card together with the debit: record id, file, bytes."""
    if tap.ride is Ride.PURCHASE:
        return []  # no trip: the card's own purse log tells of it
    written = [(TRIP_ID, TRIP_SFI, trip_of(identity, tap))]
    if tap.ride in (Ride.METRO_ENTRY, Ride.METRO_EXIT):
        written.append((PAID_AREA_ID, PAID_AREA_SFI, _paid_area(tap).pack()))
    return written


def _paid_area(tap: TapRecord) -> PaidArea:
    if tap.ride is Ride.METRO_EXIT:
        return PaidArea(inside=False)
    return PaidArea(True, tap.moment, tap.line, tap.station, bytes.fromhex(tap.terminal), tap.list_fare_fen)
