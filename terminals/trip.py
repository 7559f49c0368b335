"""The trip record that a validator writes on the card together with the debit (JT/T 978, file 1E)."""

from dataclasses import dataclass

from card.chip.records import TRIP_SFI, TripKind, TripRecord
from clearing.wire.batch import Ride, TapRecord

TRIP_ID = 0
_KINDS = {Ride.BUS: TripKind.SINGLE, Ride.METRO_ENTRY: TripKind.ENTRY, Ride.METRO_EXIT: TripKind.EXIT}
_INDUSTRIES = {Ride.BUS: 2, Ride.METRO_ENTRY: 1, Ride.METRO_EXIT: 1}

__all__ = ["TRIP_ID", "TRIP_SFI", "Identity", "trip_of"]


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
        industry=_INDUSTRIES[tap.ride],
        line=tap.line.to_bytes(2, "big"),
        station=tap.station.to_bytes(2, "big"),
        operator=bytes.fromhex(identity.operator_code),
        amount_fen=tap.amount_fen,
        balance_fen=tap.balance_before_fen - tap.amount_fen,
        moment=tap.moment,
        city=bytes.fromhex(identity.city),
        acquirer=bytes.fromhex(identity.acquirer),
    ).pack()
