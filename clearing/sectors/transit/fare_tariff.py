"""What a fare tariff says, member by member of its file (docs/formats/tariff.md). Amounts are hundredths, here fen."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from annotated_types import Ge, Le
from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

FORMAT = "onecard-fares-1"
WHOLE_BP = 10_000
MOST_FEN = 100_000_000

Fen = Annotated[int, Ge(0), Le(MOST_FEN)]
Share = Annotated[int, Ge(0), Le(WHOLE_BP)]
Minutes = Annotated[int, Ge(1), Le(60 * 24 * 31)]
Metres = Annotated[int, Ge(0), Le(10_000_000)]
Name = Annotated[str, StringConstraints(pattern=r"^\S(.*\S)?$", max_length=100)]
LineNumber = Annotated[str, StringConstraints(pattern=r"^(0|[1-9]\d{0,4})$")]
Clock = Annotated[str, StringConstraints(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _written_day(value: object) -> object:
    # Anything else that can pass for a date, such as a number of seconds, is a slip of the pen.
    if not isinstance(value, date) and (not isinstance(value, str) or len(value) != len("2018-09-01")):
        raise ValueError("write the day as YYYY-MM-DD")
    return value


Day = Annotated[date, Field(strict=False), BeforeValidator(_written_day)]


class Period(StrEnum):
    """What caps, quotas and steps count by: the city's day, the week from Monday, the calendar month."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class _Strict:
    """A member that is unknown, or of another kind, is refused: a misspelt one must not pass for an absent one."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, slots=True)
class Window(_Strict):
    """A part of the week: from `start`, to before `end` (past midnight where `end` is earlier), on such days."""

    weekdays: tuple[Weekday, ...] = WEEKDAYS
    start: Clock = "00:00"
    end: Clock = "24:00"
    on: Name | None = None
    not_on: Name | None = None


@dataclass(frozen=True, slots=True)
class Scope(_Strict):
    """Which legs a rule is for; an empty list asks nothing. `when` is asked of the moment the leg began."""

    modes: tuple[Name, ...] = ()
    fares: tuple[Name, ...] = ()
    operators: tuple[Name, ...] = ()
    lines: tuple[Name, ...] = ()
    categories: tuple[Name, ...] = ()
    when: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class FixedCharge(_Strict):
    """Half a journey costs so much: a penalty, outside discounts and caps."""

    charge: Literal["fixed"]
    fare_fen: Fen


@dataclass(frozen=True, slots=True)
class HighestCharge(_Strict):
    """Half a journey costs the highest fare from (or to) its station: a penalty, outside discounts and caps."""

    charge: Literal["highest"]


@dataclass(frozen=True, slots=True)
class ListCharge(_Strict):
    """Half a journey costs what the gate took it for, at most `most_fen`: a fare, with discounts and caps."""

    charge: Literal["list"]
    most_fen: Fen


HalfCharge = Annotated[FixedCharge | HighestCharge | ListCharge, Field(discriminator="charge")]


@dataclass(frozen=True, slots=True)
class OneTap(_Strict):
    """A mode where one tap is the whole leg."""

    taps: Literal["one"]


@dataclass(frozen=True, slots=True)
class EntryExit(_Strict):
    """A mode with a paid area: a leg is an entry and the exit after it.

    Who stays longer than `limit_min` pays `overtime_fen` on top, outside discounts and caps. After
    `forget_min` the entry has no exit any more, and an exit no entry.
    """

    taps: Literal["entry_exit"]
    limit_min: Minutes
    overtime_fen: Fen
    forget_min: Minutes
    missing_exit: HalfCharge
    missing_entry: HalfCharge


Mode = Annotated[OneTap | EntryExit, Field(discriminator="taps")]


@dataclass(frozen=True, slots=True)
class Flat(_Strict):
    """Every leg costs the same."""

    by: Literal["flat"]
    fare_fen: Fen


@dataclass(frozen=True, slots=True)
class AsListed(_Strict):
    """The leg costs the list fare that its terminal states, which is at most `most_fen`."""

    by: Literal["list"]
    most_fen: Fen


@dataclass(frozen=True, slots=True)
class ByMatrix(_Strict):
    """The leg costs what stands in the matrix of that name for its two stations."""

    by: Literal["matrix"]
    matrix: Name


@dataclass(frozen=True, slots=True)
class DistanceStep(_Strict):
    """Up to so many metres (null: any) the whole leg costs `fare_fen`."""

    up_to_m: Metres | None
    fare_fen: Fen


@dataclass(frozen=True, slots=True)
class ByDistance(_Strict):
    """The leg costs by the shortest way along the lines of the network of that name."""

    by: Literal["distance"]
    network: Name
    steps: tuple[DistanceStep, ...]


@dataclass(frozen=True, slots=True)
class AreaFare(_Strict):
    """From one area to another; `*` is anywhere."""

    start: Name
    end: Name
    fare_fen: Fen


@dataclass(frozen=True, slots=True)
class ByAreas(_Strict):
    """The leg costs by the areas that its stations lie in: of the pairs that fit, the first in the list."""

    by: Literal["areas"]
    areas: Mapping[str, tuple[Name, ...]]
    pairs: tuple[AreaFare, ...]


Price = Annotated[Flat | AsListed | ByMatrix | ByDistance | ByAreas, Field(discriminator="by")]


@dataclass(frozen=True, slots=True)
class Fare(_Strict):
    """What legs cost before discounts. The first whose scope fits a leg, and that knows it, is the leg's."""

    name: Name
    scope: Scope
    price: Price


@dataclass(frozen=True, slots=True)
class Matrix(_Strict):
    """Fares between stations; row i of `fares_fen` is from station i, to stations 0 to i where `both_ways`.

    A null is a gap: there is no such journey, and a leg of it is not priced.
    """

    stations: tuple[Name, ...]
    both_ways: bool
    fares_fen: tuple[tuple[Annotated[int, Ge(0), Le(MOST_FEN)] | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Band(_Strict):
    """The part of a fare above the band before and up to `up_to_fen` (null: all the rest) pays this share."""

    up_to_fen: Fen | None
    pay_bp: Share


@dataclass(frozen=True, slots=True)
class PayShare(_Strict):
    """The leg pays this share of what it would have paid."""

    pay: Literal["share"]
    pay_bp: Share


@dataclass(frozen=True, slots=True)
class PayLess(_Strict):
    """The leg pays so much less, and never less than nothing."""

    pay: Literal["less"]
    off_fen: Fen


@dataclass(frozen=True, slots=True)
class PayFixed(_Strict):
    """The leg pays at most so much."""

    pay: Literal["fixed"]
    fare_fen: Fen


@dataclass(frozen=True, slots=True)
class PayBands(_Strict):
    """Each part of the fare pays its band's share."""

    pay: Literal["bands"]
    bands: tuple[Band, ...]


@dataclass(frozen=True, slots=True)
class SpendStep(_Strict):
    """Who has spent `from_fen` or more in the period pays this share of the next leg."""

    from_fen: Fen
    pay_bp: Share


@dataclass(frozen=True, slots=True)
class PaySteps(_Strict):
    """The leg pays by what the card has paid in the period for legs of the same scope before it."""

    pay: Literal["steps"]
    per: Period
    steps: tuple[SpendStep, ...]


@dataclass(frozen=True, slots=True)
class PayTogether(_Strict):
    """The legs of a chain of transfers pay together at most so much."""

    pay: Literal["together"]
    most_fen: Fen


Pay = Annotated[PayShare | PayLess | PayFixed | PayBands | PaySteps | PayTogether, Field(discriminator="pay")]


@dataclass(frozen=True, slots=True)
class Transfer(_Strict):
    """Only on a leg that begins within `within_min` of the leg before, on another line if `other_line`.

    It is measured from the `begin` or the `end` of the leg before, or from the `first` leg of the chain; a
    chain has at most `most` transfers, and then a new one begins.
    """

    within_min: Minutes
    measured_from: Literal["begin", "end", "first"] = "end"
    after_modes: tuple[Name, ...] = ()
    after_fares: tuple[Name, ...] = ()
    other_line: bool = False
    most: Annotated[int, Ge(1), Le(100)] = 1


@dataclass(frozen=True, slots=True)
class Quota(_Strict):
    """A discount is given for so many legs in a period and card."""

    legs: Annotated[int, Ge(1), Le(100_000)]
    per: Period


@dataclass(frozen=True, slots=True)
class Discount(_Strict):
    """A reduction. They apply in the order of the list, each to what the one before left, unless one is `last`."""

    name: Name
    scope: Scope
    pay: Pay
    last: bool = False
    only_linked: bool = False
    transfer: Transfer | None = None
    needs_product: Name | None = None
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class Cap(_Strict):
    """Legs of the scope cost a card together at most so much in the period; the rest of the last one is free."""

    name: Name
    scope: Scope
    per: Period
    limit_fen: Fen


@dataclass(frozen=True, slots=True)
class Product(_Strict):
    """Something to buy that discounts may need; it holds for so many periods, the one it was bought in included."""

    name: Name
    price_fen: Fen
    per: Period
    periods: Annotated[int, Ge(1), Le(366)] = 1


@dataclass(frozen=True, slots=True)
class Line(_Strict):
    """What stands behind a line's number in tap records: its name, and the mode that its taps are of."""

    name: Name
    mode: Name


@dataclass(frozen=True, slots=True)
class FareTariff(_Strict):
    """A tariff: in force for legs that begin from `valid_from` through `valid_to` (null: until replaced)."""

    format: Literal["onecard-fares-1"]
    name: Name
    version: Annotated[int, Ge(1), Le(0xFFFF)]
    valid_from: Day
    valid_to: Day | None
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
    zone: Name
    modes: Mapping[Name, Mode]
    categories: Mapping[Name, tuple[Annotated[int, Ge(1), Le(255)], ...]]
    """Holder categories, each with the holder classes of tap records that stand for it."""
    fares: tuple[Fare, ...]
    discounts: tuple[Discount, ...] = ()
    caps: tuple[Cap, ...] = ()
    products: tuple[Product, ...] = ()
    calendars: Mapping[Name, tuple[Day, ...]] = field(default_factory=dict)
    matrices: Mapping[Name, Matrix] = field(default_factory=dict)
    networks: Mapping[Name, Mapping[Name, Mapping[Name, Metres]]] = field(default_factory=dict)
    """Networks of lines; each line has its stations with their metres along it."""
    aliases: Mapping[str, Name] = field(default_factory=dict)
    """Other names of stations, such as the `line-station` numbers of tap records."""
    lines: Mapping[LineNumber, Line] = field(default_factory=dict)
    """Lines by their numbers in tap records; one that is not here has its number for a name, and its ride's mode."""

    def day_of(self, at: datetime) -> date:
        """The day of an instant in this tariff's zone."""
        return at.astimezone(ZoneInfo(self.zone)).date()

    def in_force(self, at: datetime) -> bool:
        """Whether a leg that begins at this instant is priced by this tariff."""
        day = self.day_of(at)
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def always(self) -> "FareTariff":
        """The same tariff as though it were in force on every day: for asking what it would ask."""
        return replace(self, valid_from=date.min, valid_to=None)


def tariff_at(tariffs: tuple[FareTariff, ...], at: datetime) -> FareTariff | None:
    """The tariff of a leg that begins at this instant; of two in force the one that began later."""
    found = [tariff for tariff in tariffs if tariff.in_force(at)]
    return max(found, key=lambda tariff: (tariff.valid_from, tariff.version), default=None)
