"""The tariff file: what a ride costs, as data that an authority can review (docs/formats/tariff.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from clearing.wire.record import Ride

WHOLE_BP = 10_000
MOST_FEN = 1_000_000
"""No single ride costs more: a bound against slips of the pen."""

RIDE_NAMES = {"bus": Ride.BUS, "metro_entry": Ride.METRO_ENTRY, "metro_exit": Ride.METRO_EXIT}
CLASS_NAMES = {"standard": 1, "half": 2, "free": 3}


class TariffError(Exception):
    """A tariff that cannot be used: `field` (its path in the file) holds `value`; `remedy` what to do."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"tariff field {field} is {value!r}: {remedy}")
        self.field, self.value, self.remedy = field, value, remedy


@dataclass(frozen=True, slots=True)
class Band:
    """The part of a list fare up to `up_to_fen` (None: all above the band before) pays `pay_bp` of itself."""

    up_to_fen: int | None
    pay_bp: int


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

    def in_force(self, day: date) -> bool:
        """Whether a tap of this city day is priced by this tariff."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


def fare_fen(
    tariff: Tariff, *, ride: Ride, list_fare_fen: int, holder_class: int, linked: bool, full_fare: bool
) -> int:
    """What the rider pays, in fen, rounded once, half up.

    The first that applies: the full-fare flag pays the list fare; a holder class with a share of its own
    pays that share; everyone else pays by marginal bands, less the linked trip's discount, and never less
    than nothing. Raises TariffError for a class that the tariff does not know and a negative list fare.
    The bound `max_fare_fen` is the caller's to hold: a tap above it is a finding, not a price.
    """
    if list_fare_fen < 0:
        raise TariffError("list_fare_fen", list_fare_fen, "a fare is never negative")
    if holder_class not in tariff.class_pay_bp:
        raise TariffError("holder_class", holder_class, f"it must be one of {sorted(tariff.class_pay_bp)}")
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
    try:
        whole = json.loads(text, object_pairs_hook=_no_twins)
    except json.JSONDecodeError as error:
        raise TariffError(f"line {error.lineno}", error.msg, "write the file as JSON") from error
    except ValueError as error:  # a number of thousands of digits
        raise TariffError("the file", str(error), "write numbers that a person can read") from error
    except RecursionError as error:
        raise TariffError(
            "the file", "nested without end", "write it as docs/formats/tariff.md shows"
        ) from error
    fields = _members(
        "",
        whole,
        "name",
        "version",
        "valid_from",
        "valid_to",
        "linked_discount_fen",
        "rides",
        "holder_classes",
    )
    name = fields["name"]
    if not isinstance(name, str) or not name.strip():
        raise TariffError("name", name, "give the tariff a name")
    valid_from = _day("valid_from", fields["valid_from"])
    valid_to = None if fields["valid_to"] is None else _day("valid_to", fields["valid_to"])
    if valid_to is not None and valid_to < valid_from:
        raise TariffError("valid_to", fields["valid_to"], f"it must not be before valid_from, {valid_from}")
    rides = {
        RIDE_NAMES[key]: _members(f"rides.{key}", value, "max_fare_fen", "bands")
        for key, value in _members("rides", fields["rides"], *RIDE_NAMES).items()
    }
    classes = _members("holder_classes", fields["holder_classes"], *CLASS_NAMES)
    return Tariff(
        name,
        _integer("version", fields["version"], 1, 0xFFFF),
        valid_from,
        valid_to,
        _integer("linked_discount_fen", fields["linked_discount_fen"], 0, MOST_FEN),
        {
            ride: _bands(f"rides.{ride.name.lower()}.bands", members["bands"])
            for ride, members in rides.items()
        },
        {CLASS_NAMES[key]: _share(f"holder_classes.{key}", value) for key, value in classes.items()},
        {
            ride: _integer(f"rides.{ride.name.lower()}.max_fare_fen", members["max_fare_fen"], 0, MOST_FEN)
            for ride, members in rides.items()
        },
    )


def _bands(path: str, value: object) -> tuple[Band, ...]:
    if not isinstance(value, list) or not value:
        raise TariffError(path, value, "list at least one band")
    bands, floor_fen = [], 0
    for place, item in enumerate(value):
        here = f"{path}[{place}]"
        fields = _members(here, item, "up_to_fen", "pay_bp")
        up_to_fen: int | None = None
        if place < len(value) - 1:
            up_to_fen = floor_fen = _integer(
                f"{here}.up_to_fen", fields["up_to_fen"], floor_fen + 1, MOST_FEN
            )
        elif fields["up_to_fen"] is not None:
            raise TariffError(f"{here}.up_to_fen", fields["up_to_fen"], "the last band is open: write null")
        bands.append(Band(up_to_fen, _integer(f"{here}.pay_bp", fields["pay_bp"], 0, WHOLE_BP)))
    return tuple(bands)


def _share(path: str, value: object) -> int | None:
    if value == {"pay": "bands"}:
        return None
    return _integer(f"{path}.pay_bp", _members(path, value, "pay_bp")["pay_bp"], 0, WHOLE_BP)


def _members(path: str, value: object, *names: str) -> dict[str, Any]:
    """Exactly these members: a misspelt one must not pass for an absent one."""
    if not isinstance(value, dict):
        raise TariffError(path or "the file", value, f"it must be an object with {', '.join(names)}")
    for name in (*names, *value):
        at = f"{path}.{name}" if path else name
        if name not in value:
            raise TariffError(at, None, "it is missing: write it")
        if name not in names:
            raise TariffError(at, value[name], f"it is not known here; known are {', '.join(names)}")
    return value


def _integer(path: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise TariffError(path, value, f"it must be a whole number from {least} to {most}")
    return value


def _day(path: str, value: object) -> date:
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError as error:
        raise TariffError(path, value, "there is no such day") from error
    raise TariffError(path, value, "it must be a day written YYYY-MM-DD")


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise TariffError(name, "twice", "write it once")
    return dict(pairs)


def _rounded(due: int) -> int:
    return (due + WHOLE_BP // 2) // WHOLE_BP
