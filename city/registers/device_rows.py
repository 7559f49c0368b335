"""Devices as rows of CSV, as an operator hands its validators in: a column a field, empty where there is none."""

import csv
import io
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Final

from city.registers.file import CityFile, Flaw, in_city_time
from clearing.devices import Device

COLUMNS: Final = tuple(field.name for field in fields(Device))


def read_devices(text: str) -> CityFile | Sequence[Flaw]:
    """Read rows of devices, or say everything that is wrong in them by line; a day alone begins at midnight here."""
    rows = csv.reader(io.StringIO(text), strict=True)
    devices, flaws = [], []
    try:
        heading = next(rows, [])
        if heading != list(COLUMNS):
            return [Flaw("line 1", ",".join(heading), f"name the columns {','.join(COLUMNS)}")]
        for row in filter(None, rows):
            try:
                devices.append(_device(row))
            except ValueError as error:
                flaws.append(Flaw(f"line {rows.line_num}", "", str(error)))
    except csv.Error as error:
        flaws.append(
            Flaw(f"line {rows.line_num}", "", f"{error}; write plain CSV, with quotes doubled in quotes")
        )
    return flaws or CityFile(devices=tuple(devices))


def _device(row: Sequence[str]) -> Device:
    if len(row) != len(COLUMNS):
        raise ValueError(f"there are {len(row)} values; give {len(COLUMNS)}, one a column")
    terminal, operator, begins, ends, limit = (value.strip() for value in row)
    if limit and not (limit.isascii() and limit.isdigit()):
        raise ValueError(f"max_amount_fen {limit!r} is no number; give whole fen, or nothing")
    begin = _instant("valid_from", begins)
    if begin is None:
        raise ValueError("valid_from is empty; give the day, or the instant, from which the device is yours")
    return Device(terminal, operator, begin, _instant("valid_to", ends), int(limit) if limit else None)


def _instant(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name} {text!r} is no day and no instant; give one such as 2026-03-01 or 2026-03-01T04:00+08:00"
        ) from None
    return in_city_time(at)
