"""What prices are made from: taps of a card and products it bought; and why a tap has no price."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TapKind(StrEnum):
    """What a tap did: a whole ride, or one end of a journey through a paid area."""

    RIDE = "ride"
    ENTRY = "entry"
    EXIT = "exit"


class Unpriced(StrEnum):
    """Why a leg has no price, in order of precedence: the first that applies is recorded."""

    NO_TARIFF = "no_tariff"
    MODE_UNKNOWN = "mode_unknown"
    KIND_WRONG = "kind_wrong"
    CATEGORY_UNKNOWN = "category_unknown"
    NO_FARE = "no_fare"
    STATION_UNKNOWN = "station_unknown"
    NO_SUCH_JOURNEY = "no_such_journey"
    LIST_FARE_MISSING = "list_fare_missing"
    LIST_FARE_TOO_HIGH = "list_fare_too_high"


REMEDIES = {
    Unpriced.NO_TARIFF: "give a tariff that is in force at the tap's moment",
    Unpriced.MODE_UNKNOWN: "name the tap's mode in the tariff's modes",
    Unpriced.KIND_WRONG: "give rides where one tap is the leg, entries and exits where there is a paid area",
    Unpriced.CATEGORY_UNKNOWN: "name the holder's category in the tariff's categories",
    Unpriced.NO_FARE: "add a fare whose scope fits the leg; a last one with an empty scope fits all",
    Unpriced.STATION_UNKNOWN: "add the station to the tariff, or an alias for its name",
    Unpriced.NO_SUCH_JOURNEY: "fill the gap between the two stations",
    Unpriced.LIST_FARE_MISSING: "give the list fare that the terminal stated",
    Unpriced.LIST_FARE_TOO_HIGH: "correct the list fare, or raise most_fen",
}


@dataclass(frozen=True, slots=True)
class Tap:
    """One tap. `id` is its own among all taps; `list_fare_fen` is what its terminal took the leg for, if it did."""

    id: str
    card: str
    at: datetime
    kind: TapKind
    mode: str
    station: str
    operator: str = ""
    line: str = ""
    category: str = "standard"
    list_fare_fen: int | None = None
    linked: bool = False
    full_fare: bool = False


@dataclass(frozen=True, slots=True)
class Holding:
    """A product that a card bought at an instant."""

    card: str
    product: str
    bought_at: datetime
