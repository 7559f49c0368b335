"""The insurance authority's list of who is insured how, as CSV with a control record (docs/formats/cover-list.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from clearing.sectors.healthcare.policy import Category
from clearing.sectors.socialsecurity.benefit_file import IDENTITY, IDENTITY_REMEDY, identity_flaw_of
from clearing.sectors.socialsecurity.sheet import (
    Field,
    Flaw,
    Flawed,
    SheetForm,
    masked,
    read_sheet,
    write_sheet,
)

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_REMEDY: Final = "give a day such as 2026-03-01"

FORM: Final = SheetForm(
    kind="cover-list",
    control=(
        Field("lines", re.compile(r"[1-9][0-9]{0,5}"), "give the number of lines that follow the columns"),
    ),
    columns=(
        Field("identity_no", IDENTITY, IDENTITY_REMEDY, personal=True),
        Field("category", re.compile("|".join(Category)), f"give one of {', '.join(Category)}"),
        Field("valid_from", _DAY, _DAY_REMEDY),
        Field("valid_to", re.compile(f"({_DAY.pattern})?"), f"{_DAY_REMEDY}, or none"),
    ),
    key="identity_no",
)


@dataclass(frozen=True, slots=True)
class CoverLine:
    """A line of the list: how a person is insured from a day on, through `valid_to` (None: until further notice)."""

    line: int
    identity_no: str
    category: Category
    valid_from: date
    valid_to: date | None = None

    def __repr__(self) -> str:
        return f"CoverLine({self.line}, {masked(self.identity_no)}, {self.category.value}, {self.valid_from})"


def read_cover_file(data: bytes) -> tuple[CoverLine, ...] | Flawed:
    """Read a list, or say everything that is wrong in it."""
    sheet, flaws = read_sheet(data, FORM)
    lines = []
    for line, row in sheet.rows:
        if (flaw := identity_flaw_of(line, row["identity_no"])) is not None:
            flaws.append(flaw)
        days = {name: _day(row[name]) for name in ("valid_from", "valid_to")}
        for name, day in days.items():
            if day is None and _DAY.fullmatch(row[name]):  # of the right form, and no day of the calendar
                flaws.append(Flaw(line, name, row[name], _DAY_REMEDY))
        begin, end = days["valid_from"], days["valid_to"]
        if begin is not None and end is not None and end < begin:
            flaws.append(Flaw(line, "valid_to", row["valid_to"], f"give {begin} or a later day, or none"))
        if not flaws and begin is not None:
            lines.append(CoverLine(line, row["identity_no"], Category(row["category"]), begin, end))
    return Flawed(tuple(sorted(flaws, key=lambda flaw: flaw.line))) if flaws else tuple(lines)


def write_cover_file(lines: Sequence[CoverLine]) -> bytes:
    """The file of a list; the numbers of the lines are those of the file."""
    rows = [
        (one.identity_no, one.category.value, str(one.valid_from), str(one.valid_to or "")) for one in lines
    ]
    return write_sheet(FORM, (str(len(lines)),), rows)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None
