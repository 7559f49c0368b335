"""Contributions by year and bracket, as data that an agency can review: what insurance costs, and when it is
payable; docs/formats/benefit-batch.md has the form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection, select

from clearing.sectors.socialsecurity.sheet import Flaw, Flawed, shown
from clearing.sectors.socialsecurity.tables import contribution_bracket
from ledger.accounts import Conflict
from ledger.bulk import insert_rows


class Insurance(StrEnum):
    """What one is insured by: residents pay by the year, the flexibly employed by the month."""

    RESIDENT_MEDICAL = "resident_medical"
    RESIDENT_PENSION = "resident_pension"
    FLEXIBLE_EMPLOYMENT = "flexible_employment"


class Per(StrEnum):
    """What a bracket's amount is for: the whole bill, or each of its months."""

    YEAR = "year"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Bracket:
    """A level of contribution of one insurance in one year, payable between two days, both included."""

    agency: str
    insurance: Insurance
    year: int
    bracket: str
    name: str
    per: Per
    amount_fen: int
    payable_from: date
    payable_to: date

    def price_fen(self, months: int) -> int:
        """What a bill for that many months costs."""
        return self.amount_fen * months if self.per is Per.MONTH else self.amount_fen

    def payable_on(self, day: date) -> bool:
        """Whether contributions are taken on that business date."""
        return self.payable_from <= day <= self.payable_to


BracketKey = tuple[Insurance, int, str]
"""Insurance, year, bracket: what a bill names."""


def parse_schedule(text: str) -> tuple[Bracket, ...] | Flawed:
    """Read a schedule of JSON, or say everything that is wrong in it by the place of each field."""
    try:
        form = _ScheduleForm.model_validate_json(text)
    except ValidationError as error:
        return Flawed(
            tuple(
                Flaw(0, ".".join(map(str, one["loc"])) or "file", shown(repr(one["input"])), one["msg"])
                for one in error.errors(include_url=False)
            )
        )
    brackets = tuple(
        Bracket(
            form.agency, one.insurance, form.year, one.bracket, one.name, one.per, one.amount_fen,
            one.payable_from, one.payable_to,
        )
        for one in form.brackets
    )  # fmt: skip
    flaws = []
    seen: set[BracketKey] = set()
    for position, one in enumerate(brackets):
        key = (one.insurance, one.year, one.bracket)
        if key in seen:
            flaws.append(Flaw(0, f"brackets.{position}", one.bracket, "name each bracket once"))
        seen.add(key)
        if one.payable_to < one.payable_from:
            place, remedy = f"brackets.{position}.payable_to", f"give {one.payable_from} or a later day"
            flaws.append(Flaw(0, place, str(one.payable_to), remedy))
    return Flawed(tuple(flaws)) if flaws else brackets


def register_brackets(conn: Connection, brackets: Sequence[Bracket]) -> int:
    """Register brackets; how many were new. They hold by their own days, whenever they are registered.

    Raises ledger.accounts.Conflict where a bracket is known with other content: a bill may name it already.
    """
    held: dict[tuple[str, BracketKey], Bracket] = {}
    for agency in {one.agency for one in brackets}:
        held.update({(agency, key): one for key, one in brackets_of(conn, agency).items()})
    new: dict[tuple[str, BracketKey], Bracket] = {}
    for one in brackets:
        key = (one.agency, (one.insurance, one.year, one.bracket))
        ours = held.get(key) or new.setdefault(key, one)
        if ours != one:
            raise Conflict(f"bracket {one.bracket} of {one.insurance} {one.year}", ours, one)
    insert_rows(conn, contribution_bracket, (_row(one) for one in new.values()))
    return len(new)


def brackets_of(conn: Connection, agency: str) -> Mapping[BracketKey, Bracket]:
    """The brackets of an agency by what a bill names, in the order of their amounts."""
    columns = contribution_bracket.c
    query = (
        select(contribution_bracket)
        .where(columns.agency == agency)
        .order_by(columns.insurance, columns.year, columns.amount_fen, columns.bracket)
    )
    found: dict[BracketKey, Bracket] = {}
    for row in conn.execute(query).mappings():
        one = Bracket(**{**row, "insurance": Insurance(row["insurance"]), "per": Per(row["per"])})
        found[(one.insurance, one.year, one.bracket)] = one
    return found


def _row(one: Bracket) -> tuple[Any, ...]:
    return (
        one.agency, one.insurance.value, one.year, one.bracket, one.name, one.per.value, one.amount_fen,
        one.payable_from, one.payable_to,
    )  # fmt: skip


class _BracketForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    insurance: Insurance
    bracket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,15}$")]
    name: Annotated[str, Field(min_length=1, max_length=60)]
    per: Per
    amount_fen: int = Field(strict=True, gt=0, lt=10**10)
    payable_from: date
    payable_to: date


class _ScheduleForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    schedule: Literal["contributions/1"]
    agency: Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,15}$")]
    year: Annotated[int, Field(strict=True, ge=2000, le=2100)]
    brackets: Annotated[list[_BracketForm], Field(min_length=1)]
