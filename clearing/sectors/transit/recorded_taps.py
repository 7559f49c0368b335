"""Taps as operators present them, under the names that a tariff has for their rides, lines and holder classes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clearing.sectors.transit.fare_taps import Tap, TapKind
from clearing.sectors.transit.fare_tariff import FareTariff, tariff_at
from clearing.wire.ride import Ride

RIDES = {
    Ride.BUS: ("bus", TapKind.RIDE),
    Ride.METRO_ENTRY: ("metro", TapKind.ENTRY),
    Ride.METRO_EXIT: ("metro", TapKind.EXIT),
    Ride.FERRY: ("ferry", TapKind.RIDE),
}
"""What a ride is where the tariff does not say what its line is."""
START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RecordedTap:
    """A tap as its record and its place (operator, sequence of the batch, position in it) tell it.

    `at_s` is its instant in seconds since the epoch.
    """

    operator: str
    sequence: int
    position: int
    card_no: str
    at_s: int
    ride: int
    line: int
    station: int
    holder_class: int
    list_fare_fen: int
    linked: bool
    full_fare: bool

    @property
    def id(self) -> str:
        """The tap's own name; the names of taps are in the order of their places."""
        return f"{self.operator}/{self.sequence:012d}/{self.position:08d}"


def mode_of(tariff: FareTariff | None, ride: Ride, line: int) -> str:
    """The mode of a ride on a line of that number."""
    known = tariff.lines.get(str(line)) if tariff else None
    return known.mode if known else RIDES[ride][0]


def line_of(tariff: FareTariff | None, line: int) -> str:
    """The name of the line of that number."""
    known = tariff.lines.get(str(line)) if tariff else None
    return known.name if known else str(line)


def category_of(tariff: FareTariff | None, holder_class: int) -> str:
    """The category that a holder class stands for; a class that stands for none finds no price."""
    categories = tariff.categories.items() if tariff else ()
    return next((name for name, numbers in categories if holder_class in numbers), f"class {holder_class}")


def station_of(line: int, station: int) -> str:
    """The number that a tariff's `aliases` name a station by."""
    return f"{line}-{station}"


def named(tariff: FareTariff | None, tap: RecordedTap) -> Tap:
    """The tap under the names of the tariff that is in force when it was made."""
    ride = Ride(tap.ride)
    kind = RIDES[ride][1]
    return Tap(
        id=tap.id,
        card=tap.card_no,
        at=START + timedelta(seconds=tap.at_s),
        kind=kind,
        mode=mode_of(tariff, ride, tap.line),
        station=station_of(tap.line, tap.station),
        operator=tap.operator,
        line=line_of(tariff, tap.line),
        category=category_of(tariff, tap.holder_class),
        # The list fare of an entry is not the journey's: what it costs is known when it ends.
        list_fare_fen=None if kind is TapKind.ENTRY else tap.list_fare_fen,
        linked=tap.linked,
        full_fare=tap.full_fare,
    )


def named_taps(tariffs: tuple[FareTariff, ...], taps: Iterable[RecordedTap]) -> list[Tap]:
    """Each tap under the names of the tariff of its own instant."""
    return [named(tariff_at(tariffs, START + timedelta(seconds=tap.at_s)), tap) for tap in taps]
