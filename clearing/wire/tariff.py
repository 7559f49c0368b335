"""The tariff file: what a ride costs, as data that an authority can review (docs/formats/tariff.md)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from clearing.wire.ride import Ride
from clearing.wire.strict import FieldError, Strict

WHOLE_BP = 10_000
DAY_MINUTES = 24 * 60
MOST_FEN = 1_000_000
"""No single ride costs more: a bound against slips of the pen."""

RIDE_NAMES = {
    "bus": Ride.BUS,
    "metro_entry": Ride.METRO_ENTRY,
    "metro_exit": Ride.METRO_EXIT,
    "ferry": Ride.FERRY,
}
EVERYWHERE = ("bus", "metro_entry", "metro_exit")
"""Rides that every tariff prices; not every city has a ferry."""
CLASS_NAMES = {"standard": 1, "half": 2, "free": 3}


class TariffError(FieldError):
    """A tariff that cannot be used: `field` (its path in the file) holds `value`; `remedy` what to do."""

    noun = "tariff"


@dataclass(frozen=True, slots=True)
class Band:
    """The part of a list fare up to `up_to_fen` (None: all above the band before) pays `pay_bp` of itself."""

    up_to_fen: int | None
    pay_bp: int


@dataclass(frozen=True, slots=True)
class Journeys:
    """How taps make journeys; `incomplete_fen` is the list fare of a journey of which one end is missing.

    A ride within `transfer_window` of the one before is linked; a journey in the metro may take `stay`; an
    entry where the holder has just entered, within `passback`, is another person's.
    """

    transfer_window: timedelta
    stay: timedelta
    passback: timedelta
    incomplete_fen: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices in force from `valid_from` through `valid_to` (None: until replaced), both days included."""

    name: str
    version: int
    valid_from: date
    valid_to: date | None
    linked_discount_fen: int
    bands: Mapping[Ride, tuple[Band, ...]]
    class_pay_bp: Mapping[int, int | None]
    """What a holder class pays of the list fare; None: the bands apply."""
    max_fare_fen: Mapping[Ride, int]
    """The highest list fare there is, for each kind of ride."""
    journeys: Journeys | None = None
    """None: terminals are told by others which trips are linked, and complete."""

    def in_force(self, day: date) -> bool:
        """Whether a tap of this city day is priced by this tariff."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


def tariff_on(tariffs: Iterable[Tariff], day: date) -> Tariff | None:
    """The tariff that prices a tap of this city day: of several in force the later one holds."""
    in_force = [tariff for tariff in tariffs if tariff.in_force(day)]
    return max(in_force, key=lambda tariff: (tariff.valid_from, tariff.version), default=None)


def fare_fen(
    tariff: Tariff, *, ride: Ride, list_fare_fen: int, holder_class: int, linked: bool, full_fare: bool
) -> int:
    """What the rider pays, in fen, rounded once, half up.

    The first that applies: the full-fare flag pays the list fare; a holder class with a share of its own
    pays that share; everyone else pays by marginal bands, less the linked trip's discount, and never less
    than nothing. Raises TariffError for a class or a ride that the tariff does not know and a negative list fare.
    The bound `max_fare_fen` is the caller's to hold: a tap above it is a finding, not a price.
    """
    if list_fare_fen < 0:
        raise TariffError("list_fare_fen", list_fare_fen, "a fare is never negative")
    if holder_class not in tariff.class_pay_bp:
        raise TariffError("holder_class", holder_class, f"it must be one of {sorted(tariff.class_pay_bp)}")
    if ride not in tariff.bands:
        raise TariffError("ride", ride.name.lower(), "this tariff prices no such ride: add it to rides")
    if full_fare:
        return list_fare_fen
    pay_bp = tariff.class_pay_bp[holder_class]
    if pay_bp is not None:
        return _rounded(list_fare_fen * pay_bp)
    due, floor_fen = 0, 0
    for band in tariff.bands[ride]:
        top_fen = list_fare_fen if band.up_to_fen is None else min(list_fare_fen, band.up_to_fen)
        due += max(0, top_fen - floor_fen) * band.pay_bp
        floor_fen = max(floor_fen, top_fen)
    return max(0, _rounded(due - linked * tariff.linked_discount_fen * WHOLE_BP))


def parse_tariff(text: str) -> Tariff:
    """Read a tariff file; raises TariffError naming the field, its value and the remedy."""
    fields = _TEXT.members(
        "", _TEXT.load(text), "name", "version", "valid_from", "valid_to", "linked_discount_fen", "rides",
        "holder_classes", optional=("journeys",),
    )  # fmt: skip
    name = fields["name"]
    if not isinstance(name, str) or not name.strip():
        raise TariffError("name", name, "give the tariff a name")
    valid_from = _TEXT.day("valid_from", fields["valid_from"])
    valid_to = None if fields["valid_to"] is None else _TEXT.day("valid_to", fields["valid_to"])
    if valid_to is not None and valid_to < valid_from:
        raise TariffError("valid_to", fields["valid_to"], f"it must not be before valid_from, {valid_from}")
    optional = tuple(name for name in RIDE_NAMES if name not in EVERYWHERE)
    rides = {
        RIDE_NAMES[key]: _TEXT.members(f"rides.{key}", value, "max_fare_fen", "bands")
        for key, value in _TEXT.members("rides", fields["rides"], *EVERYWHERE, optional=optional).items()
    }
    max_fare_fen = {
        ride: _TEXT.integer(f"rides.{ride.name.lower()}.max_fare_fen", of_ride["max_fare_fen"], 0, MOST_FEN)
        for ride, of_ride in rides.items()
    }
    classes = _TEXT.members("holder_classes", fields["holder_classes"], *CLASS_NAMES)
    return Tariff(
        name,
        _TEXT.integer("version", fields["version"], 1, 0xFFFF),
        valid_from,
        valid_to,
        _TEXT.integer("linked_discount_fen", fields["linked_discount_fen"], 0, MOST_FEN),
        {
            ride: _bands(f"rides.{ride.name.lower()}.bands", of_ride["bands"])
            for ride, of_ride in rides.items()
        },
        {CLASS_NAMES[key]: _share(f"holder_classes.{key}", value) for key, value in classes.items()},
        max_fare_fen,
        _journeys(fields["journeys"], max_fare_fen) if "journeys" in fields else None,
    )


_TEXT = Strict(TariffError, "docs/formats/tariff.md")


def _bands(path: str, value: object) -> tuple[Band, ...]:
    if not isinstance(value, list) or not value:
        raise TariffError(path, value, "list at least one band")
    bands, floor_fen = [], 0
    for place, item in enumerate(value):
        here = f"{path}[{place}]"
        fields = _TEXT.members(here, item, "up_to_fen", "pay_bp")
        up_to_fen: int | None = None
        if place < len(value) - 1:
            up_to_fen = floor_fen = _TEXT.integer(
                f"{here}.up_to_fen", fields["up_to_fen"], floor_fen + 1, MOST_FEN
            )
        elif fields["up_to_fen"] is not None:
            raise TariffError(f"{here}.up_to_fen", fields["up_to_fen"], "the last band is open: write null")
        bands.append(Band(up_to_fen, _TEXT.integer(f"{here}.pay_bp", fields["pay_bp"], 0, WHOLE_BP)))
    return tuple(bands)


def _share(path: str, value: object) -> int | None:
    if value == {"pay": "bands"}:
        return None
    return _TEXT.integer(f"{path}.pay_bp", _TEXT.members(path, value, "pay_bp")["pay_bp"], 0, WHOLE_BP)


def _journeys(value: object, max_fare_fen: Mapping[Ride, int]) -> Journeys:
    minutes = ("transfer_window_minutes", "stay_minutes", "passback_minutes")
    fields = _TEXT.members("journeys", value, *minutes, "incomplete_fen")
    # Above its ride's limit clearing would hold the tap, and the rider's money with it.
    most_fen = min(max_fare_fen[Ride.METRO_ENTRY], max_fare_fen[Ride.METRO_EXIT])
    window, stay, passback = (
        timedelta(minutes=_TEXT.integer(f"journeys.{name}", fields[name], 0, DAY_MINUTES)) for name in minutes
    )
    incomplete_fen = _TEXT.integer("journeys.incomplete_fen", fields["incomplete_fen"], 0, most_fen)
    return Journeys(window, stay, passback, incomplete_fen)


def _rounded(due: int) -> int:
    return (due + WHOLE_BP // 2) // WHOLE_BP
