"""Devices as rows of CSV, as an operator hands its validators in: a column a field, empty where there is none."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Final

from city.registers.file import CityFile, Flaw
from clearing.devices import Device
from clearing.wire.bcd import CITY_ZONE

COLUMNS: Final = tuple(field.name for field in fields(Device))
FIRST_ROW: Final = 2
"""The line of the file on which the first device stands, below the names of the columns."""


def read_devices(text: str) -> CityFile | Sequence[Flaw]:
    """Read rows of devices, or say everything that is wrong in them by line; a day alone begins at midnight here."""
    rows = csv.DictReader(io.StringIO(text), restkey="more", restval="")
    if rows.fieldnames is None or list(rows.fieldnames) != list(COLUMNS):
        return [Flaw("line 1", ",".join(rows.fieldnames or ()), f"name the columns {','.join(COLUMNS)}")]
    devices, flaws = [], []
    for line, row in enumerate(rows, FIRST_ROW):
        try:
            devices.append(_device(row))
        except ValueError as error:
            flaws.append(Flaw(f"line {line}", "", str(error)))
    return flaws or CityFile(devices=tuple(devices))


def _device(row: dict[str, str]) -> Device:
    if "more" in row:
        raise ValueError(f"there are more than {len(COLUMNS)} values; give one a column")
    limit = row["max_amount_fen"].strip()
    if limit and not (limit.isascii() and limit.isdigit()):
        raise ValueError(f"max_amount_fen {limit!r} is no number; give whole fen, or nothing")
    begin = _instant("valid_from", row["valid_from"])
    if begin is None:
        raise ValueError("valid_from is empty; give the day, or the instant, from which the device is yours")
    return Device(
        row["terminal"].strip(),
        row["operator"].strip(),
        begin,
        _instant("valid_to", row["valid_to"]),
        int(limit) if limit else None,
    )


def _instant(name: str, text: str) -> datetime | None:
    if not text.strip():
        return None
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{name} {text!r} is no day and no instant; give one such as 2026-03-01 or 2026-03-01T04:00+08:00"
        ) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=CITY_ZONE)
