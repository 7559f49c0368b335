"""The file of contribution bills: who is asked for which months of which insurance;
docs/formats/benefit-batch.md."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from clearing.sectors.socialsecurity.benefit_file import (
    ID,
    IDENTITY,
    IDENTITY_REMEDY,
    NUMBER,
    NUMBER_REMEDY,
    identity_flaw_of,
)
from clearing.sectors.socialsecurity.schedule import Insurance
from clearing.sectors.socialsecurity.sheet import (
    Field,
    Flaw,
    Flawed,
    SheetForm,
    masked,
    read_sheet,
    write_sheet,
)

MONTHS_A_YEAR: Final = 12


@dataclass(frozen=True, slots=True)
class BillLine:
    """A bill; an empty `bracket` leaves the choice to the payer."""

    line: int
    number: str
    identity_no: str
    insurance: Insurance
    year: int
    first_month: int
    months: int
    bracket: str

    def __repr__(self) -> str:
        return f"BillLine({self.line}, {self.number!r}, {masked(self.identity_no)})"


@dataclass(frozen=True, slots=True)
class BillFile:
    """The bills of one file, as their agency wrote them."""

    agency: str
    lines: tuple[BillLine, ...]


_MONTH = re.compile(r"[1-9]|1[0-2]")

FORM: Final = SheetForm(
    kind="contribution-bills",
    control=(
        Field("agency", ID, "give the agency's participant id"),
        Field("lines", re.compile(r"[1-9][0-9]{0,5}"), "give the number of lines that follow the columns"),
    ),
    columns=(
        Field("number", NUMBER, NUMBER_REMEDY),
        Field("identity_no", IDENTITY, IDENTITY_REMEDY, personal=True),
        Field("insurance", re.compile("|".join(Insurance)), f"give one of {', '.join(Insurance)}"),
        Field("year", re.compile(r"20[0-9]{2}"), "give the year in four digits"),
        Field("first_month", _MONTH, "give a month from 1 to 12"),
        Field("months", _MONTH, "give how many months, from 1 to 12"),
        Field(
            "bracket", re.compile(r"([a-z0-9][a-z0-9-]{0,15})?"), "name a bracket of the schedule, or none"
        ),
    ),
    key="number",
)


def read_bill_file(data: bytes) -> BillFile | Flawed:
    """Read a file of bills, or say everything that is wrong in it."""
    sheet, flaws = read_sheet(data, FORM)
    for line, row in sheet.rows:
        if (flaw := identity_flaw_of(line, row["identity_no"])) is not None:
            flaws.append(flaw)
        if _MONTH.fullmatch(row["first_month"]) and _MONTH.fullmatch(row["months"]):
            left = MONTHS_A_YEAR + 1 - int(row["first_month"])
            if int(row["months"]) > left:
                flaws.append(Flaw(line, "months", row["months"], f"{left} are left of that year; split it"))
    if flaws:
        return Flawed(tuple(sorted(flaws, key=lambda flaw: flaw.line)))
    return BillFile(
        sheet.control["agency"],
        tuple(
            BillLine(
                line, row["number"], row["identity_no"], Insurance(row["insurance"]), int(row["year"]),
                int(row["first_month"]), int(row["months"]), row["bracket"],
            )
            for line, row in sheet.rows
        ),
    )  # fmt: skip


def write_bill_file(*, agency: str, lines: Sequence[BillLine]) -> bytes:
    """The file of some bills; the numbers of the lines are those of the file."""
    rows = [
        (
            one.number, one.identity_no, one.insurance.value, str(one.year), str(one.first_month),
            str(one.months), one.bracket,
        )
        for one in lines
    ]  # fmt: skip
    return write_sheet(FORM, (agency, str(len(lines))), rows)
