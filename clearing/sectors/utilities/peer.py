"""What a biller can be asked and told, and what it answers, whichever way it is reached."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol

from clearing.sectors.utilities.states import Act

NUMBER: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{0,31}")
"""An account or bill number: 1 to 32 letters, digits and hyphens."""

REFERENCE: Final = re.compile(r"[!-{}~]{1,80}")
"""A payment's reference: 1 to 80 visible ASCII characters, without the file's separator `|`."""

LONGEST_MESSAGE: Final = 500


class NoAnswer(Exception):
    """The biller did not answer, or not understandably: what it did is unknown, and it is told again."""


@dataclass(frozen=True, slots=True)
class Bill:
    """A bill as the biller has it; amounts in fen.

    `written_off` are the references of the payments that `open_fen` already takes into account.
    """

    bill_no: str
    period: str
    amount_fen: int
    open_fen: int
    due_on: date
    written_off: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BillerAccount:
    """A customer's account at a biller; `customer` is the name as the biller masks it."""

    account_no: str
    customer: str
    bills: tuple[Bill, ...]

    @property
    def open_fen(self) -> int:
        """What is owed in all, arrears included."""
        return sum(bill.open_fen for bill in self.bills)


@dataclass(frozen=True, slots=True)
class Notice:
    """What a biller is told of a payment; idempotent by `reference` and `act`.

    `business_date` is ours: the biller files the payment under it. `event_at` is when the holder paid.
    """

    reference: str
    act: Act
    biller: str
    account_no: str
    bill_no: str
    amount_fen: int
    business_date: date
    event_at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """A biller's answer for good: `taken`, or refused with its own reason and words."""

    taken: bool
    reason: str = ""
    message: str = ""


class BillerClient(Protocol):
    """The door to one biller. Every call may raise NoAnswer; none is made inside a transaction."""

    def account(self, account_no: str) -> BillerAccount | None:
        """The account with its bills, or None where the biller has no such account."""

    def tell(self, notice: Notice) -> Answer:
        """Tell of a payment or of its reversal; the same notice again gets the same answer.

        A reversal before its write-off is taken, and the write-off is then refused for ever.
        """

    def daily_file(self, business_date: date) -> bytes:
        """The newest issue of the biller's file of a business date (docs/formats/biller-file.md)."""


BillerClients = Mapping[str, BillerClient]
"""The doors to billers, by the biller's id."""


def shortened(text: str) -> str:
    """Words from outside as they may be kept: printable, and not longer than a message may be."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:LONGEST_MESSAGE]
