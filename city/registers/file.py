"""The file in which a city says who takes part: its form, read strictly, and every flaw of it at once.

docs/formats/city-file.md has it in words; `onecard city schema` writes it as a JSON schema.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from clearing.devices import Device
from clearing.sectors.healthcare.registers import Hospital
from clearing.sectors.socialsecurity.funds import FundAgreement
from clearing.sectors.utilities.catalogue import Biller
from clearing.wire.bcd import CITY_ZONE
from settlement.agreements import Agreement
from settlement.participants import Participant

SHOWN_CHARACTERS = 60

Name = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,32}$")]


class Register(StrEnum):
    """The parts of a city file."""

    PARTICIPANTS = "participants"
    AGREEMENTS = "agreements"
    DEVICES = "devices"
    BILLERS = "billers"
    HOSPITALS = "hospitals"
    FUNDS = "funds"
    POOLS = "pools"
    AGENTS = "agents"
    BANK_YEARS = "bank_years"


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong at a place of the file, such as `participants.3.bank_code`: the value, and why."""

    place: str
    value: str
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.value}: {self.why}" if self.value else f"{self.place}: {self.why}"


@dataclass(frozen=True, slots=True)
class BankYear:
    """The days of a year on which banks keep other than weekdays: free weekdays, and weekend days that are worked."""

    year: int
    holidays: tuple[date, ...] = ()
    workdays: tuple[date, ...] = ()


class CityFile(BaseModel):
    """The registers of a city, or those of them that are to be entered; each may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="City file")

    participants: tuple[Participant, ...] = Field(
        default=(), description="who is paid, and on which bank account"
    )
    agreements: tuple[Agreement, ...] = Field(
        default=(), description="what a participant pays us, and when it is paid"
    )
    devices: tuple[Device, ...] = Field(
        default=(), description="validators: SAM number, whose, from when until when"
    )
    billers: tuple[Biller, ...] = Field(default=(), description="participants whose bills can be paid")
    hospitals: tuple[Hospital, ...] = Field(
        default=(), description="participants that charge patients, by level"
    )
    funds: tuple[FundAgreement, ...] = Field(
        default=(), description="agencies' funds for benefits, and their limits"
    )
    pools: tuple[Name, ...] = Field(
        default=(), description="pools that pay the insured part of hospital bills"
    )
    agents: tuple[Name, ...] = Field(
        default=(), description="who takes money for us: counters, payment channels"
    )
    bank_years: tuple[BankYear, ...] = Field(
        default=(), description="years whose holidays are not yet known to the program, or differ"
    )

    @field_validator("devices")
    @classmethod
    def _in_city_time(cls, devices: tuple[Device, ...]) -> tuple[Device, ...]:
        """An instant without an offset is the city's."""
        return tuple(
            replace(
                one,
                valid_from=in_city_time(one.valid_from),
                valid_to=one.valid_to and in_city_time(one.valid_to),
            )
            for one in devices
        )


def read_city_file(text: str | bytes) -> CityFile | Sequence[Flaw]:
    """Read a city file, or say everything that is wrong in it."""
    try:
        return CityFile.model_validate_json(text)
    except ValidationError as error:
        return [
            Flaw(
                ".".join(map(str, one["loc"])) or "file",
                "" if isinstance(one["input"], dict | list) else _shown(one["input"]),
                one["msg"].removeprefix("Value error, "),
            )
            for one in error.errors(include_url=False)
        ]


def in_city_time(at: datetime) -> datetime:
    """An instant; one without an offset is the city's."""
    return at if at.tzinfo is not None else at.replace(tzinfo=CITY_ZONE)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
