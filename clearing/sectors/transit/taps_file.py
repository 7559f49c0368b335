"""Taps as a CSV file, for asking what they cost: one row a tap, times with or without an offset."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

from clearing.sectors.transit.csv_rows import MOST_FLAWS, instant_of, numbered_rows
from clearing.sectors.transit.fare_file import Flaw, TariffFlawed
from clearing.sectors.transit.fare_taps import Tap, TapKind

NEEDED = ("card", "at", "kind", "mode")
OPTIONAL = (
    "id",
    "station",
    "operator",
    "line",
    "category",
    "list_fare_fen",
    "linked",
    "full_fare",
    "paid_fen",
)
TRUTHS = {"": False, "0": False, "no": False, "1": True, "yes": True}


@dataclass(frozen=True, slots=True)
class ChargedTap:
    """A tap, and what was paid for it (None: not known)."""

    tap: Tap
    paid_fen: int | None


def read_taps(data: bytes, zone: tzinfo) -> list[ChargedTap]:
    """Read taps; a time without an offset is in `zone`. Raises TariffFlawed with every cell that cannot be read."""
    taps, flaws = [], []
    seen: set[str] = set()
    for number, row in numbered_rows(data, NEEDED, OPTIONAL):
        made = _tap(number, row, zone)
        if isinstance(made, Flaw):
            flaws.append(made)
        elif made.tap.id in seen:
            flaws.append(Flaw(f"row {number} id", made.tap.id, "give each tap an id of its own"))
        else:
            seen.add(made.tap.id)
            taps.append(made)
    if flaws or not taps:
        raise TariffFlawed(tuple(flaws[:MOST_FLAWS]) or (Flaw("the file", "no taps", "give a row a tap"),))
    return taps


def _tap(number: int, row: dict[str, str], zone: tzinfo) -> ChargedTap | Flaw:
    checks: tuple[tuple[str, Callable[[str], bool], str], ...] = (
        ("card", lambda value: value != "", "the card's number"),
        ("at", lambda value: instant_of(value, zone) is not None, "a time such as 2026-03-02T08:00"),
        ("kind", lambda value: value in set(TapKind), f"one of {', '.join(TapKind)}"),
        ("mode", lambda value: value != "", "a mode of the tariff"),
        ("list_fare_fen", _is_amount, "whole fen, or nothing"),
        ("paid_fen", _is_amount, "whole fen, or nothing"),
        ("linked", lambda value: value in TRUTHS, "1 or 0"),
        ("full_fare", lambda value: value in TRUTHS, "1 or 0"),
    )
    for name, holds, remedy in checks:
        if not holds(row.get(name, "")):
            return Flaw(f"row {number} {name}", row.get(name, ""), f"give {remedy}")
    at = instant_of(row["at"], zone)
    assert at is not None, "it was looked at"
    tap = Tap(
        id=row.get("id") or f"row {number:07d}",
        card=row["card"],
        at=at,
        kind=TapKind(row["kind"]),
        mode=row["mode"],
        station=row.get("station", ""),
        operator=row.get("operator", ""),
        line=row.get("line", ""),
        category=row.get("category") or "standard",
        list_fare_fen=int(row["list_fare_fen"]) if row.get("list_fare_fen") else None,
        linked=TRUTHS[row.get("linked", "")],
        full_fare=TRUTHS[row.get("full_fare", "")],
    )
    return ChargedTap(tap, int(row["paid_fen"]) if row.get("paid_fen") else None)


def _is_amount(value: str) -> bool:
    return not value or (value.isascii() and value.isdecimal() and len(value) <= 9)
