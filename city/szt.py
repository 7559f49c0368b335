"""The Shenzhen Tong trace: one CSV row a tap, as the city's open data platform published it."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from city.home import CITY_ZONE
from clearing.wire.batch import Ride

RIDES = {"METRO_IN": Ride.METRO_ENTRY, "METRO_OUT": Ride.METRO_EXIT, "BUS": Ride.BUS}
MODES = {ride: mode for mode, ride in RIDES.items()}
HOLDER_CLASSES = {"HALF": 2, "FREE": 3}
LINKED_CLASSES = {"STD_TRANSFER40", "TRANSFER40_UNMARKED"}
FARE_CLASSES = {"ENTRY", "STD", "FULL", *HOLDER_CLASSES, *LINKED_CLASSES}
FIELDS = (
    "card_no",
    "deal_date",
    "mode",
    "company_name",
    "site",
    "equ_no",
    "site_code",
    "deal_value",
    "fare_class",
)


class TraceError(Exception):
    """The file is not a trace at all; says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class SztTap:
    """One row of the trace that can be replayed. `list_fare_fen` is the fare before any discount."""

    row: int
    card: str
    at: datetime
    ride: Ride
    company: str
    site: str
    equipment: str
    site_code: int
    list_fare_fen: int
    holder_class: int
    linked: bool
    full_fare: bool

    @property
    def shows_class(self) -> bool:
        """Whether the row tells its holder's class: an entry pays nothing, and a full fare is anyone's."""
        return self.ride is not Ride.METRO_ENTRY and not self.full_fare


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that cannot be replayed: kept as it stood, with the field, the value and the remedy."""

    row: int
    field: str
    value: str
    remedy: str
    original: str


def read_trace(data: bytes) -> Iterator[SztTap | BadRow]:
    """Yield every row of a trace in file order, good or bad; rows are numbered from 2, as an editor shows them.

    Raises TraceError where the file has no such header.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TraceError(f"byte {error.start} is not UTF-8; save the trace as a UTF-8 CSV file") from error
    lines = text.splitlines()
    reader = csv.DictReader(io.StringIO(text))
    missing = [name for name in FIELDS if name not in (reader.fieldnames or [])]
    if missing:
        raise TraceError(f"the header has no {', '.join(missing)}; a Shenzhen trace has {', '.join(FIELDS)}")
    for number, row in enumerate(reader, 2):
        bad = _first_flaw(row)
        if bad:
            field, remedy = bad
            original = lines[number - 1] if number <= len(lines) else ""
            yield BadRow(number, field, str(row.get(field)), remedy, original)
        else:
            yield _tap(number, row)


def _first_flaw(row: dict[str, str | None]) -> tuple[str, str] | None:
    checks = (
        ("card_no", lambda v: v.isalnum() and len(v) <= 16, "a card number of letters and digits"),
        ("deal_date", _is_moment, "a local time such as 2018-09-01 11:18:07"),
        ("mode", lambda v: v in RIDES, f"one of {', '.join(RIDES)}"),
        ("company_name", lambda v: v != "", "the operator's name"),
        ("equ_no", lambda v: v.isdecimal() and len(v) <= 12, "a device number of at most 12 digits"),
        ("deal_value", lambda v: v.isdecimal() and int(v) <= 1_000_000, "the list fare in fen, 0 to 1000000"),
        ("fare_class", lambda v: v in FARE_CLASSES, f"one of {', '.join(sorted(FARE_CLASSES))}"),
    )
    for field, holds, remedy in checks:
        value = row.get(field)
        if value is None or not holds(value):
            return field, f"give {remedy}"
    return None


def _is_moment(value: str) -> bool:
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - the zone is the city's, put on below
    except ValueError:
        return False
    return True


def _tap(number: int, row: dict[str, str | None]) -> SztTap:
    value = {name: row[name] or "" for name in FIELDS}
    return SztTap(
        row=number,
        card=value["card_no"],
        at=datetime.fromisoformat(value["deal_date"]).replace(tzinfo=CITY_ZONE),
        ride=RIDES[value["mode"]],
        company=value["company_name"],
        site=value["site"],
        equipment=value["equ_no"],
        site_code=int(value["site_code"]) if value["site_code"].isdecimal() else 0,
        list_fare_fen=int(value["deal_value"]),
        holder_class=HOLDER_CLASSES.get(value["fare_class"], 1),
        linked=value["fare_class"] in LINKED_CLASSES,
        full_fare=value["fare_class"] == "FULL",
    )
