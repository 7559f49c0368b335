"""The benefit batch file: who is to be paid what from which fund; docs/formats/benefit-batch.md."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from card.identity import identity_flaw
from clearing.sectors.socialsecurity.sheet import (
    CONTROL_LINE,
    Field,
    Flaw,
    Flawed,
    Sheet,
    SheetForm,
    masked,
    read_sheet,
    write_sheet,
)


class Pocket(StrEnum):
    """Where a benefit goes: the wallet is spent anywhere, the subsidy pocket at certain merchants only."""

    WALLET = "wallet"
    SUBSIDY = "subsidy"


@dataclass(frozen=True, slots=True)
class BenefitLine:
    """One payment; `claim` is the agency's number of what is owed, which is paid once whatever the batch."""

    line: int
    claim: str
    identity_no: str
    pocket: Pocket
    amount_fen: int
    memo: str

    def __repr__(self) -> str:
        return f"BenefitLine({self.line}, {self.claim!r}, {masked(self.identity_no)}, {self.amount_fen})"


@dataclass(frozen=True, slots=True)
class BenefitFile:
    """A batch as its agency wrote it; `digest` is the SHA-256 of the file in hex."""

    agency: str
    number: str
    fund: str
    programme: str
    lines: tuple[BenefitLine, ...]
    digest: str

    @property
    def total_fen(self) -> int:
        """What the lines sum to."""
        return sum(line.amount_fen for line in self.lines)


ID: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,15}")
NUMBER: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{0,23}")
IDENTITY: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
IDENTITY_REMEDY: Final = "give the 18 characters of GB 11643, the last a digit or a capital X"
AMOUNT_REMEDY: Final = "give whole fen above zero, in digits only"
NUMBER_REMEDY: Final = "use 1 to 24 capital letters, digits and hyphens"

FORM: Final = SheetForm(
    kind="benefit-batch",
    control=(
        Field("agency", ID, "give the agency's participant id"),
        Field("number", NUMBER, NUMBER_REMEDY),
        Field("fund", ID, "give the id of the fund that pays"),
        Field("programme", re.compile(r"[a-z][a-z0-9-]{0,23}"), "use 1 to 24 small letters, digits, hyphens"),
        Field("lines", re.compile(r"[1-9][0-9]{0,5}"), "give the number of lines that follow the columns"),
        Field("total_fen", re.compile(r"[1-9][0-9]{0,17}"), AMOUNT_REMEDY),
    ),
    columns=(
        Field("claim", NUMBER, NUMBER_REMEDY),
        Field("identity_no", IDENTITY, IDENTITY_REMEDY, personal=True),
        Field("pocket", re.compile("|".join(Pocket)), f"give one of {', '.join(Pocket)}"),
        Field("amount_fen", re.compile(r"[1-9][0-9]{0,11}"), AMOUNT_REMEDY),
        Field("memo", re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,60}"), "give at most 60 characters"),
    ),
    key="claim",
)


def read_benefit_file(data: bytes) -> BenefitFile | Flawed:
    """Read a batch, or say everything that is wrong in it. Amounts are in fen."""
    sheet, flaws = read_sheet(data, FORM)
    flaws += [flaw for line, row in sheet.rows if (flaw := identity_flaw_of(line, row["identity_no"]))]
    if not flaws:
        flaws += _wrong_total(sheet)
    if flaws:
        return Flawed(tuple(sorted(flaws, key=lambda flaw: flaw.line)))
    control = sheet.control
    lines = tuple(
        BenefitLine(
            line, row["claim"], row["identity_no"], Pocket(row["pocket"]), int(row["amount_fen"]), row["memo"]
        )
        for line, row in sheet.rows
    )
    digest = hashlib.sha256(data).hexdigest()
    return BenefitFile(
        control["agency"], control["number"], control["fund"], control["programme"], lines, digest
    )


def write_benefit_file(
    *, agency: str, number: str, fund: str, programme: str, lines: Sequence[BenefitLine]
) -> bytes:
    """The file of a batch, with its control totals; the numbers of the lines are those of the file."""
    total_fen = sum(line.amount_fen for line in lines)
    rows = [
        (line.claim, line.identity_no, line.pocket.value, str(line.amount_fen), line.memo) for line in lines
    ]
    return write_sheet(FORM, (agency, number, fund, programme, str(len(lines)), str(total_fen)), rows)


def identity_flaw_of(line: int, identity_no: str) -> Flaw | None:
    """What is wrong with an identity number of the right form, by its digits alone, or None."""
    if not IDENTITY.fullmatch(identity_no):
        return None  # said by the form of its column
    found = identity_flaw(identity_no, date.max)
    if found is None:
        return None
    return Flaw(line, "identity_no", masked(identity_no), f"{found}; copy it from the card again")


def _wrong_total(sheet: Sheet) -> list[Flaw]:
    total_fen = sum(int(row["amount_fen"]) for _, row in sheet.rows)
    said = sheet.control["total_fen"]
    if int(said) == total_fen:
        return []
    return [Flaw(CONTROL_LINE, "total_fen", said, f"the lines sum to {total_fen}; correct one or the other")]
