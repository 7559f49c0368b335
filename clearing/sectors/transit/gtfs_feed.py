"""A GTFS feed's tables, from its folder or its zip: rows of texts."""

import csv
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clearing.sectors.transit.fare_tariff import EntryExit, HighestCharge, Mode

MOST_BYTES = 200_000_000
"""No table that matters for fares is larger: a bound against archives that unpack without end."""
TABLES = (
    "fare_products", "fare_media", "rider_categories", "fare_leg_rules", "fare_transfer_rules",
    "fare_leg_join_rules", "areas", "stop_areas", "networks", "route_networks", "timeframes", "calendar",
    "calendar_dates", "routes", "stops", "agency", "fare_attributes", "fare_rules",
)  # fmt: skip

Row = Mapping[str, str]
GATED: Mode = EntryExit("entry_exit", 240, 0, 1440, HighestCharge("highest"), HighestCharge("highest"))
"""Journeys that know both ends; of what a half costs, and of time in the paid area, GTFS says nothing."""


class FeedError(Exception):
    """A feed that cannot be read; says which file, what is wrong, and what to do."""


@dataclass(frozen=True, slots=True)
class Feed:
    """The tables of a feed that are about fares; one that it does not have is empty."""

    tables: Mapping[str, tuple[Row, ...]]

    def rows(self, table: str) -> tuple[Row, ...]:
        """The rows of a table in file order."""
        return self.tables.get(table, ())

    @property
    def zone(self) -> str:
        """The time zone of the feed's agencies, which GTFS lets be but one."""
        return next((row["agency_timezone"] for row in self.rows("agency")), "UTC")


@dataclass(frozen=True, slots=True)
class NotExpressed:
    """What a feed asks that the tariff does not say: the file, what, and why or what to do by hand."""

    file: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}: {self.why}"


def whole_number(row: Row, column: str, default: int) -> int:
    """The number in a column, or the default where it is empty. Raises FeedError for what is no whole number."""
    text = row.get(column) or str(default)
    try:
        return int(text)
    except ValueError as error:
        raise FeedError(f"column {column} has {text[:40]!r}; give a whole number, or nothing") from error


def read_feed(path: Path) -> Feed:
    """Read a feed's tables. Raises FeedError where it is none."""
    try:
        if path.is_dir():
            found = {name: path / f"{name}.txt" for name in TABLES}
            texts = {
                name: _decoded(file.name, file.read_bytes()) for name, file in found.items() if file.exists()
            }
        else:
            texts = _unzipped(path)
    except (OSError, zipfile.BadZipFile, zlib.error) as error:
        raise FeedError(f"{path} cannot be read: {error}; give a GTFS feed's folder or zip") from error
    if not texts:
        raise FeedError(f"{path} has no GTFS tables; give the folder that fare_products.txt is in")
    try:
        return Feed({name: _rows(text) for name, text in texts.items()})
    except csv.Error as error:
        raise FeedError(f"{path} has a table that is not CSV: {error}; write it as GTFS asks") from error


def _unzipped(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        wanted = {name: f"{name}.txt" for name in TABLES if f"{name}.txt" in sizes}
        for file in wanted.values():
            if sizes[file] > MOST_BYTES:
                raise FeedError(
                    f"{path}: {file} has {sizes[file]} bytes; give a feed of at most {MOST_BYTES}"
                )
        return {name: _decoded(file, archive.read(file)) for name, file in wanted.items()}


def _decoded(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FeedError(f"{file}: byte {error.start} is not UTF-8; GTFS is written as UTF-8") from error


def _rows(text: str) -> tuple[Row, ...]:
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="", skipinitialspace=True)
    return tuple(
        {name.strip(): (value or "").strip() for name, value in row.items() if name} for row in reader
    )
