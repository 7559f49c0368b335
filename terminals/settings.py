"""A terminal's settings, set from afar: what it stands for, whom it takes, and how far it trusts its clock.

A JSON text in a signed document (docs/formats/terminal-files.md), read as strictly as a tariff.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from clearing.wire.batch import Ride
from clearing.wire.strict import FieldError, Strict
from clearing.wire.tariff import CLASS_NAMES, MOST_FEN, RIDE_NAMES

MOST_STATIONS = 2_000


class SettingsError(FieldError):
    """Settings that cannot be used: `field` (its path in the text) holds `value`; `remedy` what to do."""

    noun = "settings"


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one terminal, or (`terminal` None) for all of a depot.

    `fares_fen` are list fares by the station of entry, (line, station); None as a key is the flat fare.
    """

    version: int
    terminal: str | None
    ride: Ride
    line: int
    station: int
    fares_fen: Mapping[tuple[int, int] | None, int]
    holder_classes: frozenset[int]
    issuers: frozenset[str] | None
    clock_behind: timedelta
    offline: timedelta
    capacity: int


_TEXT = Strict(SettingsError, "docs/formats/terminal-files.md")


def parse_settings(text: str) -> Settings:
    """Read settings; raises SettingsError naming the member, its value and the remedy."""
    fields = _TEXT.members(
        "", _TEXT.load(text), "version", "terminal", "ride", "line", "station", "fares", "holder_classes",
        "issuers", "clock_behind_s", "offline_hours", "capacity",
    )  # fmt: skip
    issuers = fields["issuers"]
    return Settings(
        _TEXT.integer("version", fields["version"], 1, 0xFFFF),
        None if fields["terminal"] is None else _hex("terminal", fields["terminal"], 12),
        RIDE_NAMES[_TEXT.one_of("ride", fields["ride"], *RIDE_NAMES)],
        _TEXT.integer("line", fields["line"], 0, 0xFFFF),
        _TEXT.integer("station", fields["station"], 0, 0xFFFF),
        _fares(fields["fares"]),
        frozenset(
            CLASS_NAMES[_TEXT.one_of(path, name, *CLASS_NAMES)]
            for path, name in _items("holder_classes", fields["holder_classes"])
        ),
        None
        if issuers is None
        else frozenset(_hex(path, code, 8) for path, code in _items("issuers", issuers)),
        timedelta(seconds=_TEXT.integer("clock_behind_s", fields["clock_behind_s"], 0, 86_400)),
        timedelta(hours=_TEXT.integer("offline_hours", fields["offline_hours"], 1, 24 * 366)),
        _TEXT.integer("capacity", fields["capacity"], 1, 10_000_000),
    )


def _fares(value: object) -> Mapping[tuple[int, int] | None, int]:
    """`{"flat_fen": N}`, or `{"by_entry_fen": {"LINE/STATION": N}}`."""
    fields = _TEXT.members("fares", value, optional=("flat_fen", "by_entry_fen"))
    if len(fields) != 1:
        raise SettingsError("fares", value, "give flat_fen or by_entry_fen, one of them")
    if "flat_fen" in fields:
        return {None: _TEXT.integer("fares.flat_fen", fields["flat_fen"], 0, MOST_FEN)}
    by_entry = fields["by_entry_fen"]
    if not isinstance(by_entry, dict) or not 0 < len(by_entry) <= MOST_STATIONS:
        raise SettingsError("fares.by_entry_fen", by_entry, f"list 1 to {MOST_STATIONS} stations")
    return {
        _station(f"fares.by_entry_fen.{key}", key): _TEXT.integer(
            f"fares.by_entry_fen.{key}", fen, 0, MOST_FEN
        )
        for key, fen in by_entry.items()
    }


def _station(path: str, key: str) -> tuple[int, int]:
    line, slash, station = key.partition("/")
    if not slash or not all(
        part.isascii() and part.isdecimal() and len(part) < 6 for part in (line, station)
    ):
        raise SettingsError(path, key, "write a station as LINE/STATION, two numbers")
    return (
        _TEXT.integer(path, int(line), 0, 0xFFFF),
        _TEXT.integer(path, int(station), 0, 0xFFFF),
    )


def _items(path: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, list) or not value:
        raise SettingsError(path, value, "list at least one")
    return [(f"{path}[{place}]", item) for place, item in enumerate(value)]


def _hex(path: str, value: object, digits: int) -> str:
    if not isinstance(value, str) or len(value) != digits or not set(value) <= set("0123456789ABCDEF"):
        raise SettingsError(path, value, f"write {digits} hexadecimal digits, in upper case")
    return value
