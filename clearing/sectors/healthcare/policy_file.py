"""The policy file: the rules of an insurance pool as data that the insurer can review (docs/healthcare.md)."""

from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from clearing.sectors.healthcare.policy import LEVELS, WHOLE_BP, Category, Part, Policy, Rates
from clearing.wire.strict import FieldError, Strict
from ledger.entry import MAX_AMOUNT_FEN

FOLDER = Path(__file__).parent / "policies"


def _written_day(value: object) -> object:
    # Anything else that can pass for a date, such as a number of seconds, is a slip of the pen.
    if not isinstance(value, str) or len(value) != len("2018-09-01"):
        raise ValueError("write the day as YYYY-MM-DD")
    return value


_Share = Annotated[int, Field(ge=0, le=WHOLE_BP)]
_Day = Annotated[date, Field(strict=False), BeforeValidator(_written_day)]


class PolicyError(FieldError):
    """A policy that cannot be used: `field` (its path in the file) holds `value`; `remedy` what to do."""

    noun = "policy"


_TEXT = Strict(PolicyError, "docs/healthcare.md")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _Shares(_Strict):
    level_1: _Share
    level_2: _Share
    level_3: _Share


class _Rates(_Strict):
    deductible_fen: int = Field(ge=0, le=MAX_AMOUNT_FEN)
    ceiling_fen: int = Field(ge=0, le=MAX_AMOUNT_FEN)
    fund_pay_bp: _Shares
    account_pays: list[Annotated[Part, Field(strict=False)]]


class _Categories(_Strict):
    employee: _Rates
    resident: _Rates
    retired: _Rates


class _File(_Strict):
    name: Annotated[str, StringConstraints(pattern=r"\S")]
    version: Annotated[int, Field(ge=1, le=0xFFFF)]
    pool: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,15}$")]
    valid_from: _Day
    valid_to: _Day | None
    categories: _Categories

    @model_validator(mode="after")
    def _is_a_period(self) -> "_File":
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise ValueError(f"valid_to {self.valid_to} is before valid_from {self.valid_from}")
        return self


def parse_policy(text: str) -> Policy:
    """Read a policy file; raises PolicyError naming the first field at fault, its value and the remedy."""
    try:
        whole = _File.model_validate(_TEXT.load(text))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(step) for step in first["loc"]) or "the file"
        raise PolicyError(path, first["input"], f"{first['msg']}; see docs/healthcare.md") from error
    return Policy(
        whole.name,
        whole.version,
        whole.pool,
        whole.valid_from,
        whole.valid_to,
        {category: _rates(getattr(whole.categories, category.value)) for category in Category},
    )


def read_policies(folder: Path = FOLDER) -> tuple[Policy, ...]:
    """The policies of a folder, oldest first.

    Raises PolicyError where two are in force on one day, or one file is wrong.
    """
    found = [parse_policy(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found.sort(key=lambda policy: policy.valid_from)
    for older, newer in pairwise(found):
        if older.in_force(newer.valid_from):
            raise PolicyError(
                "valid_to",
                older.valid_to,
                f"end {older.name} version {older.version} before {newer.valid_from}",
            )
    return tuple(found)


def policy_on(policies: tuple[Policy, ...], day: date) -> Policy | None:
    """The policy that splits treatment on a day, or None where none is in force."""
    return next((policy for policy in policies if policy.in_force(day)), None)


def _rates(given: _Rates) -> Rates:
    shares_bp = {level: getattr(given.fund_pay_bp, f"level_{level}") for level in LEVELS}
    return Rates(given.deductible_fen, given.ceiling_fen, shares_bp, frozenset(given.account_pays))
