"""A day in the city, planned from a seed: who rides where and when, and who has a bad day."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from random import Random

from city.home import CITY_ZONE
from city.plan import CityPlan
from clearing.wire.batch import Ride

ISSUER = "01011000"
OTHER_ISSUER = "02021000"
STATIONS = 12
LOAD_FEN = 20_000
MISCHIEF_LOAD_FEN = 60_000


class Mischief(StrEnum):
    """A bad tap of each kind that clearing knows by a verdict of the same name."""

    MALFORMED = "malformed"
    DUPLICATE = "duplicate"
    DEVICE_UNKNOWN = "device_unknown"
    CARD_UNKNOWN = "card_unknown"
    TAC_WRONG = "tac_wrong"
    COUNTER_CONFLICT = "counter_conflict"
    HOTLISTED = "hotlisted"
    BALANCE_GAP = "balance_gap"
    AMOUNT_OUT_OF_BOUNDS = "amount_out_of_bounds"


@dataclass(frozen=True, slots=True)
class Rider:
    """One holder of a card of the international suite (`algorithm` 0) or the national (1).

    `mischief` is what goes wrong with its taps, if anything.
    """

    card_no: str
    issuer: str
    holder_class: int
    load_fen: int
    mischief: Mischief | None = None
    algorithm: int = 0


@dataclass(frozen=True, slots=True)
class PlannedTap:
    """A rider at a validator at a moment. `list_fare_fen` is the fare before any discount."""

    card_no: str
    operator: str
    terminal: str
    at: datetime
    ride: Ride
    list_fare_fen: int
    line: int
    station: int
    linked: bool = False
    full_fare: bool = False


@dataclass(frozen=True, slots=True)
class DayPlan:
    """A whole day: its riders and their taps in the order in which they happen."""

    business_date: date
    riders: tuple[Rider, ...]
    taps: tuple[PlannedTap, ...]


def plan_day(
    city: CityPlan, business_date: date, *, riders: int, mischief: tuple[Mischief, ...], seed: int
) -> DayPlan:
    """Plan a day of `riders` ordinary riders and one more for each mischief; the same seed, the same day."""
    rng = Random(f"{seed}:{business_date}")
    people = [_rider(index, rng) for index in range(riders)]
    troubled = [_troubled(index, kind) for index, kind in enumerate(mischief)]
    taps = [tap for rider in people for tap in _commute(city, business_date, rider, rng)]
    taps += [tap for rider in troubled for tap in _bus_rides(city, business_date, rider, rng)]
    taps.sort(key=lambda tap: (tap.at, tap.card_no))
    return DayPlan(business_date, tuple(people + troubled), tuple(taps))


def terminal_of(operator_index: int, place: int) -> str:
    """The terminal number of a validator: operator, then gate or bus."""
    return f"{0x51800000 + operator_index:08X}{place:04X}"


NATIONAL_EVERY = 3
"""Of so many ordinary riders one has a card of the national suite: the city runs both at once."""
UNREGISTERED_TERMINAL = "5180FFFF0001"


def _rider(index: int, rng: Random) -> Rider:
    holder_class = rng.choices((1, 2, 3), weights=(90, 7, 3))[0]
    algorithm = 1 if index % NATIONAL_EVERY == NATIONAL_EVERY - 1 else 0
    return Rider(f"0310487{index + 1:013d}", ISSUER, holder_class, LOAD_FEN, algorithm=algorithm)


def _troubled(index: int, kind: Mischief) -> Rider:
    issuer = OTHER_ISSUER if kind is Mischief.CARD_UNKNOWN else ISSUER
    return Rider(f"0310487{900_000 + index:013d}", issuer, 1, MISCHIEF_LOAD_FEN, kind)


def _commute(city: CityPlan, day: date, rider: Rider, rng: Random) -> list[PlannedTap]:
    """There in the morning, back in the evening, by metro, bus, or bus and then metro at the linked price."""
    taps = []
    for hour in (7, 17):
        leaves = datetime.combine(day, time(hour), CITY_ZONE) + timedelta(seconds=rng.randrange(7_200))
        way = rng.choices(("metro", "bus", "both", "stays"), weights=(40, 35, 15, 10))[0]
        if way in ("bus", "both"):
            taps.append(_bus(city, rng.choice(_operators(city, "BUS")), rider, leaves, rng))
        if way in ("metro", "both"):
            index = rng.choice(_operators(city, "METRO"))
            taps += _metro(city, index, rider, leaves + timedelta(minutes=25), rng, linked=way == "both")
    return taps


def _bus_rides(city: CityPlan, day: date, rider: Rider, rng: Random) -> list[PlannedTap]:
    """Rides at noon, all with one operator, so that what becomes of one in its depot shows in the others."""
    noon = datetime.combine(day, time(11), CITY_ZONE) + timedelta(seconds=rng.randrange(3_600))
    index = rng.choice(_operators(city, "BUS"))
    trips = 3 if rider.mischief is Mischief.BALANCE_GAP else 1
    return [_bus(city, index, rider, noon + timedelta(minutes=40 * trip), rng) for trip in range(trips)]


def _bus(city: CityPlan, index: int, rider: Rider, at: datetime, rng: Random) -> PlannedTap:
    bus, fare_fen = rng.randrange(8), rng.choice((100, 200, 200, 250, 300, 500))
    operator, terminal = city.operators[index].id, terminal_of(index, bus)
    return PlannedTap(rider.card_no, operator, terminal, at, Ride.BUS, fare_fen, line=100 + bus, station=0)


def _metro(
    city: CityPlan, index: int, rider: Rider, at: datetime, rng: Random, *, linked: bool
) -> list[PlannedTap]:
    operator, line = city.operators[index].id, index + 1
    start, end = rng.sample(range(STATIONS), 2)
    fare_fen = 200 + 100 * (abs(start - end) // 2)
    leaves = at + timedelta(minutes=3 * abs(start - end), seconds=rng.randrange(90))
    entry = PlannedTap(
        rider.card_no, operator, terminal_of(index, start), at, Ride.METRO_ENTRY, 0, line, start
    )
    exit_ = PlannedTap(
        rider.card_no, operator, terminal_of(index, end), leaves, Ride.METRO_EXIT, fare_fen, line, end, linked
    )
    return [entry, exit_]


def _operators(city: CityPlan, kind: str) -> list[int]:
    return [index for index, operator in enumerate(city.operators) if operator.id.startswith(kind)]
