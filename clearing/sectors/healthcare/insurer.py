"""The insurer as we see it: four questions, and answers that may fail to come."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, runtime_checkable

from clearing.sectors.healthcare.policy import Category, Item


class Standing(StrEnum):
    """What the insurer says of a claim."""

    APPROVED = "approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"


@dataclass(frozen=True, slots=True)
class Claim:
    """What the insurer is asked to pay; `reference` is ours, and the insurer knows it by that for ever.

    `business_date` is ours, too: the insurer files the claim under it, and is asked for a day's claims by it.
    """

    reference: str
    business_date: date
    hospital: str
    level: int
    insured: str
    category: Category
    treated_on: date
    pool: str
    policy_version: int
    total_fen: int
    deductible_fen: int
    fund_fen: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """How the claim stands: what the fund pays, the insurer's own number, and why where it does not."""

    reference: str
    standing: Standing
    fund_fen: int
    insurer_no: str
    reason: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing that can be read came in time; `sent` is False only where the question cannot have arrived."""

    reference: str
    detail: str
    sent: bool = True


Heard = ClaimAnswer | NoAnswer


@dataclass(frozen=True, slots=True)
class PaidClaim:
    """A claim that the insurer pays, in fen."""

    reference: str
    fund_fen: int
    insurer_no: str


@dataclass(frozen=True, slots=True)
class InsurerDay:
    """The claims of a business date that the insurer pays; their totals as told were those of the lines."""

    business_date: date
    claims: tuple[PaidClaim, ...]

    @property
    def fund_fen(self) -> int:
        """What the insurer owes for the day."""
        return sum(claim.fund_fen for claim in self.claims)


@runtime_checkable
class Insurer(Protocol):
    """The insurer's side. Every call is bounded in time, and none is made inside a transaction."""

    def claim(self, claim: Claim) -> Heard:
        """Ask for payment; called once a reference."""

    def query(self, reference: str) -> Heard:
        """Ask what became of a claim."""

    def cancel(self, reference: str) -> Heard:
        """Take a claim back; the insurer remembers it even where the claim has not arrived."""

    def day(self, business_date: date) -> InsurerDay | NoAnswer:
        """Ask for the claims of a business date that the insurer pays."""
