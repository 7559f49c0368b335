"""What a leg costs before any discount: by the first fare whose scope fits it and that knows its stations."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from itertools import pairwise
from zoneinfo import ZoneInfo

from clearing.sectors.transit.fare_legs import Leg, LegKind
from clearing.sectors.transit.fare_taps import TapKind, Unpriced
from clearing.sectors.transit.fare_tariff import (
    WEEKDAYS,
    AsListed,
    ByAreas,
    ByDistance,
    ByMatrix,
    EntryExit,
    Fare,
    FareTariff,
    FixedCharge,
    Flat,
    ListCharge,
    Matrix,
    Mode,
    Scope,
    Window,
)

ANYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Base:
    """A leg's fare: by which rule, how much, how it came about, and whether it is a penalty."""

    fare: str
    amount_fen: int
    because: str
    penalty: bool = False


def base_fare(tariff: FareTariff, leg: Leg) -> Base | Unpriced:
    """The fare of a leg (not an open one) before discounts, or why there is none."""
    mode = tariff.modes.get(leg.pays.mode)
    if mode is None:
        return Unpriced.MODE_UNKNOWN
    if isinstance(mode, EntryExit) == (leg.pays.kind is TapKind.RIDE):
        return Unpriced.KIND_WRONG
    if leg.pays.category not in tariff.categories:
        return Unpriced.CATEGORY_UNKNOWN
    first: Unpriced | None = None
    for fare in tariff.fares:
        if fits(tariff, fare.scope, leg, ""):
            found = _of_fare(tariff, mode, fare, leg)
            if found not in (Unpriced.STATION_UNKNOWN, Unpriced.NO_SUCH_JOURNEY):
                return found
            # A fare that does not know the journey leaves it to the next one.
            first = first or Unpriced(found)
    return first or Unpriced.NO_FARE


def _of_fare(tariff: FareTariff, mode: Mode, fare: Fare, leg: Leg) -> Base | Unpriced:
    if isinstance(mode, EntryExit) and leg.kind in (LegKind.MISSING_EXIT, LegKind.MISSING_ENTRY):
        return _half(tariff, mode, fare, leg)
    return _whole(tariff, fare, leg)


def fits(tariff: FareTariff, scope: Scope, leg: Leg, fare: str) -> bool:
    """Whether a leg that is priced by the fare of that name is in the scope."""
    tap = leg.pays
    asked = (
        (scope.modes, tap.mode),
        (scope.fares, fare),
        (scope.operators, tap.operator),
        (scope.lines, tap.line),
        (scope.categories, tap.category),
    )
    if not all(value in allowed for allowed, value in asked if allowed):
        return False
    return not scope.when or any(in_window(tariff, window, leg.began.at) for window in scope.when)


def in_window(tariff: FareTariff, window: Window, at: datetime) -> bool:
    """Whether an instant is in the window. What is past midnight belongs to the day it is on."""
    local = at.astimezone(ZoneInfo(tariff.zone))
    day = local.date()
    if WEEKDAYS[day.weekday()] not in window.weekdays:
        return False
    if window.on is not None and day not in tariff.calendars.get(window.on, ()):
        return False
    if window.not_on is not None and day in tariff.calendars.get(window.not_on, ()):
        return False
    clock = f"{local:%H:%M}"
    if window.start < window.end:
        return window.start <= clock < window.end
    return clock >= window.start or clock < window.end


def fares_between(tariff: FareTariff, fare: Fare, start: str, end: str) -> int | Unpriced:
    """What a fare that depends on stations (or on nothing) asks from one to another."""
    start, end = tariff.aliases.get(start, start), tariff.aliases.get(end, end)
    match fare.price:
        case Flat():
            return fare.price.fare_fen
        case ByMatrix():
            return _in_matrix(tariff.matrices[fare.price.matrix], start, end)
        case ByDistance():
            return _by_distance(tariff, fare.price, start, end)
        case ByAreas():
            return by_areas(fare.price, start, end)
        case AsListed():
            return Unpriced.LIST_FARE_MISSING


def _whole(tariff: FareTariff, fare: Fare, leg: Leg) -> Base | Unpriced:
    if isinstance(fare.price, AsListed):
        return _listed(fare, leg, fare.price.most_fen)
    if leg.pays.full_fare and leg.pays.list_fare_fen is not None:
        # Another class of carriage has fares of its own, which only the terminal knows.
        return Base(fare.name, leg.pays.list_fare_fen, "full fare, as the terminal stated it")
    found_fen = fares_between(tariff, fare, leg.start, leg.end)
    if isinstance(found_fen, Unpriced):
        return found_fen
    places = "" if isinstance(fare.price, Flat) else f" from {leg.start} to {leg.end}"
    return Base(fare.name, found_fen, f"{fare.price.by} fare{places}")


def _half(tariff: FareTariff, mode: EntryExit, fare: Fare, leg: Leg) -> Base | Unpriced:
    charge = mode.missing_exit if leg.kind is LegKind.MISSING_EXIT else mode.missing_entry
    what = leg.kind.replace("_", " ")
    if isinstance(charge, FixedCharge):
        return Base(fare.name, charge.fare_fen, f"{what}: a fixed charge", penalty=True)
    if isinstance(charge, ListCharge):
        return _listed(fare, leg, charge.most_fen)
    station = leg.start or leg.end
    outward = leg.kind is LegKind.MISSING_EXIT
    reached = [
        fares_between(tariff, fare, *((station, other) if outward else (other, station)))
        for other in stations_of(tariff, fare) or (station,)
    ]
    found = [fen for fen in reached if not isinstance(fen, Unpriced)]
    if not found:
        listed = isinstance(fare.price, AsListed)
        return Unpriced.LIST_FARE_MISSING if listed else Unpriced.STATION_UNKNOWN
    return Base(fare.name, max(found), f"{what}: the highest fare of {station}", penalty=True)


def _listed(fare: Fare, leg: Leg, most_fen: int) -> Base | Unpriced:
    if leg.pays.list_fare_fen is None:
        return Unpriced.LIST_FARE_MISSING
    if leg.pays.list_fare_fen > most_fen:
        return Unpriced.LIST_FARE_TOO_HIGH
    return Base(fare.name, leg.pays.list_fare_fen, "list fare, as the terminal stated it")


def stations_of(tariff: FareTariff, fare: Fare) -> tuple[str, ...]:
    """The stations that a fare knows, in the order of the file."""
    match fare.price:
        case ByMatrix():
            return tariff.matrices[fare.price.matrix].stations
        case ByDistance():
            lines = tariff.networks[fare.price.network].values()
            return tuple(dict.fromkeys(station for line in lines for station in line))
        case ByAreas():
            return tuple(fare.price.areas)
    return ()


def fares_fen(tariff: FareTariff, fare: Fare) -> tuple[int, ...]:
    """The amounts that a fare can ask, rising."""
    match fare.price:
        case Flat():
            amounts = {fare.price.fare_fen}
        case AsListed():
            amounts = {0, fare.price.most_fen}
        case ByMatrix():
            rows = tariff.matrices[fare.price.matrix].fares_fen
            amounts = {fen for row in rows for fen in row if fen is not None}
        case ByDistance():
            amounts = {step.fare_fen for step in fare.price.steps}
        case ByAreas():
            amounts = {pair.fare_fen for pair in fare.price.pairs}
    return tuple(sorted(amounts))


def _in_matrix(matrix: Matrix, start: str, end: str) -> int | Unpriced:
    try:
        row, column = matrix.stations.index(start), matrix.stations.index(end)
    except ValueError:
        return Unpriced.STATION_UNKNOWN
    if matrix.both_ways and column > row:
        row, column = column, row
    found_fen = matrix.fares_fen[row][column]
    return Unpriced.NO_SUCH_JOURNEY if found_fen is None else found_fen


def by_areas(price: ByAreas, start: str, end: str) -> int | Unpriced:
    """The fare of the first pair of areas in which the two stations lie."""
    if start not in price.areas and end not in price.areas and ANYWHERE not in {p.start for p in price.pairs}:
        return Unpriced.STATION_UNKNOWN
    starts, ends = (*price.areas.get(start, ()), ANYWHERE), (*price.areas.get(end, ()), ANYWHERE)
    for pair in price.pairs:
        if pair.start in starts and pair.end in ends:
            return pair.fare_fen
    return Unpriced.NO_SUCH_JOURNEY


def _by_distance(tariff: FareTariff, price: ByDistance, start: str, end: str) -> int | Unpriced:
    lines = tariff.networks[price.network]
    known = {station for line in lines.values() for station in line}
    if start not in known or end not in known:
        return Unpriced.STATION_UNKNOWN
    way_m = shortest_m(lines, start, end)
    for step in price.steps:
        if way_m is not None and (step.up_to_m is None or way_m <= step.up_to_m):
            return step.fare_fen
    return Unpriced.NO_SUCH_JOURNEY


def shortest_m(lines: Mapping[str, Mapping[str, int]], start: str, end: str) -> int | None:
    """The shortest way in metres along lines that meet at their common stations; None where there is none."""
    return shortest_ways_m(lines, start).get(end)


def shortest_ways_m(lines: Mapping[str, Mapping[str, int]], start: str) -> dict[str, int]:
    """The shortest ways in metres from a station to all that can be reached along lines."""
    near: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for line in lines.values():
        stops = sorted(line.items(), key=lambda stop: stop[1])
        for (one, here_m), (other, there_m) in pairwise(stops):
            near[one].append((other, there_m - here_m))
            near[other].append((one, there_m - here_m))
    best, queue = {start: 0}, [(0, start)]
    while queue:
        way_m, station = heappop(queue)
        if way_m > best[station]:
            continue
        for other, step_m in near[station]:
            if way_m + step_m < best.get(other, way_m + step_m + 1):
                best[other] = way_m + step_m
                heappush(queue, (best[other], other))
    return best
