"""From what the card carries to what the ride is: linked or not, complete or not, at which list fare.

The terminal decides by these rules and writes their outcome into the record, list fare and flag; what that costs
is `tariff.fare_fen`, there and at clearing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from card.chip.records import PaidArea, TripKind, TripRecord
from clearing.wire.bcd import moment_of
from clearing.wire.ride import Ride
from clearing.wire.tariff import Journeys

INDUSTRIES: Mapping[Ride, int] = {Ride.METRO_ENTRY: 1, Ride.METRO_EXIT: 1, Ride.BUS: 2, Ride.FERRY: 3}
"""How trips on the card name what they were made with; metro and bus as in the real trace, the ferry is ours."""
Station = tuple[int, int]
"""Line and station."""


class Finding(StrEnum):
    """What the card says of the journey that this tap belongs to."""

    COMPLETE = "complete"
    ALREADY_INSIDE = "already_inside"
    EXIT_MISSING = "exit_missing"
    ENTRY_MISSING = "entry_missing"
    OVERSTAYED = "overstayed"
    FARE_MISSING = "fare_missing"


@dataclass(frozen=True, slots=True)
class CardSays:
    """The paid area as the card has it, None where it cannot be read, and its trips, the newest first."""

    paid_area: PaidArea | None = None
    trips: tuple[TripRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Leg:
    """This tap as part of a journey. `list_fare_fen` is 0 where the finding takes no ride."""

    list_fare_fen: int
    linked: bool
    finding: Finding

    @property
    def taken(self) -> bool:
        """Whether there is a ride to be charged at all."""
        return self.finding not in (Finding.ALREADY_INSIDE, Finding.FARE_MISSING)


def leg_of(
    journeys: Journeys, *, ride: Ride, here: Station, fares_fen: Mapping[Station | None, int], says: CardSays,
    at: datetime,
) -> Leg:  # fmt: skip
    """What this tap is, at an aware instant; `fares_fen` are list fares by station of entry, None the flat one."""
    inside = says.paid_area if says.paid_area is not None and says.paid_area.inside else None
    since = None if inside is None else _instant(inside.moment)
    if ride is Ride.METRO_ENTRY:
        return _entered(journeys, inside, since, here, at)
    if ride is Ride.METRO_EXIT:
        if inside is None or since is None or since > at:
            return Leg(journeys.incomplete_fen, False, Finding.ENTRY_MISSING)
        if at - since > journeys.stay:
            return Leg(journeys.incomplete_fen, False, Finding.OVERSTAYED)
        fare_fen, began = fares_fen.get((inside.line, inside.station), fares_fen.get(None)), since
    else:
        fare_fen, began = fares_fen.get(None), at
    if fare_fen is None:
        return Leg(0, False, Finding.FARE_MISSING)
    return Leg(fare_fen, _is_linked(journeys, ride, here, says, began), Finding.COMPLETE)


def _entered(
    journeys: Journeys, inside: PaidArea | None, since: datetime | None, here: Station, at: datetime
) -> Leg:
    """An entry costs nothing, unless the journey before it never ended: then that one is paid now."""
    if inside is None:
        return Leg(0, False, Finding.COMPLETE)
    just_here = (inside.line, inside.station) == here
    if just_here and since is not None and abs(at - since) < journeys.passback:
        return Leg(0, False, Finding.ALREADY_INSIDE)
    return Leg(journeys.incomplete_fen, False, Finding.EXIT_MISSING)


def _is_linked(journeys: Journeys, ride: Ride, here: Station, says: CardSays, began: datetime) -> bool:
    """Whether this ride began within the window after another, on something else than this line."""
    for trip in says.trips:
        if trip.kind == TripKind.ENTRY:
            continue  # the beginning of this very journey
        ended, same = _instant(trip.moment), (trip.industry, int.from_bytes(trip.line, "big"))
        if ended is None or ended > began or began - ended > journeys.transfer_window:
            return False
        # The metro is one system, whatever the line; changing buses or boats is another line.
        return same[0] != INDUSTRIES[ride] or (ride is not Ride.METRO_EXIT and same[1] != here[0])
    return False


def _instant(moment: bytes) -> datetime | None:
    try:
        return moment_of(moment)
    except ValueError:
        return None
