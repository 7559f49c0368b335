"""What a terminal asks: a message's fields read into one request, or the code that refuses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from api.gateway.codes import Code
from clearing.wire.bcd import CITY_ZONE, moment_of
from clearing.wire.iso8583 import Message

CURRENCY = "156"
CARD_DIGITS = 20
FRESH = timedelta(days=1)
"""How far a terminal's clock may be from ours, and how old a purchase may be."""
STORED = timedelta(days=60)
"""How long a terminal may have kept a reversal or an advice."""


class Task(StrEnum):
    """What is asked for."""

    PURCHASE = "purchase"
    BALANCE = "balance"
    STAND_IN = "stand_in"
    REFUND = "refund"
    REVERSAL = "reversal"


TASKS: Mapping[tuple[str, str], Task] = {
    ("0200", "000000"): Task.PURCHASE,
    ("0200", "310000"): Task.BALANCE,
    ("0220", "000000"): Task.STAND_IN,
    ("0220", "200000"): Task.REFUND,
    ("0400", "000000"): Task.REVERSAL,
}
"""By message type and processing code."""

_ALWAYS = (2, 3, 11, 12, 13, 41, 42, 49)
NEEDED: Mapping[Task, tuple[int, ...]] = {
    Task.PURCHASE: (*_ALWAYS, 4),
    Task.BALANCE: _ALWAYS,
    Task.STAND_IN: (*_ALWAYS, 4),
    Task.REFUND: (*_ALWAYS, 4, 61),
    Task.REVERSAL: (*_ALWAYS, 4),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One question of a terminal. `stan` and `local_date` name it; a reversal carries its original's.

    `event_at` is by the terminal's clock; `original` is the payment that a refund is for.
    """

    task: Task
    mti: str
    terminal: str
    stan: str
    local_date: date
    event_at: datetime
    merchant: str
    card_no: str
    amount_fen: int
    digest: bytes
    original: str = ""

    @property
    def key(self) -> tuple[str, str, str, date]:
        """By what a repeated message is known."""
        return self.terminal, self.mti, self.stan, self.local_date

    @property
    def payment(self) -> str:
        """The natural key of the payment that this is, or that it reverses."""
        return reference(self.terminal, self.local_date, self.stan)


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a message is no request, and by which field."""

    code: Code
    field: int


def reference(terminal: str, local_date: date, stan: str) -> str:
    """The natural key of a payment made at a terminal."""
    return f"pos:{terminal}:{local_date:%Y%m%d}:{stan}"


def read_request(message: Message, *, now: datetime) -> Request | Flaw:
    """Read a request from a message whose MAC is right; `now` says which year a day without one is in."""
    task = TASKS.get((message.mti, message.get(3)))
    if task is None:
        return Flaw(Code.NOT_SUPPORTED, 3)
    if message.get(52):
        # Nobody here checks PINs yet: to take the message would be to say that it was checked.
        return Flaw(Code.NOT_SUPPORTED, 52)
    for number in NEEDED[task]:
        if not message.get(number):
            return Flaw(Code.FORMAT_ERROR, number)
    if message.get(49) != CURRENCY:
        return Flaw(Code.INVALID_TRANSACTION, 49)
    event_at = _instant(message.get(13), message.get(12), now)
    if event_at is None:
        return Flaw(Code.FORMAT_ERROR, 13)
    oldest = FRESH if task in (Task.PURCHASE, Task.BALANCE) else STORED
    if not now - oldest <= event_at <= now + FRESH:
        return Flaw(Code.INVALID_TRANSACTION, 13)
    amount_fen = int(message.get(4) or 0)
    if amount_fen == 0 and task is not Task.BALANCE:
        return Flaw(Code.AMOUNT_INVALID, 4)
    original = ""
    if task is Task.REFUND:
        found = _original(message, now)
        if found is None:
            return Flaw(Code.FORMAT_ERROR, 61)
        original = found
    return Request(
        task=task,
        mti=message.mti,
        terminal=message.get(41),
        stan=message.get(11),
        local_date=event_at.astimezone(CITY_ZONE).date(),
        event_at=event_at,
        merchant=message.get(42).rstrip(" "),
        card_no=message.get(2).zfill(CARD_DIGITS),
        amount_fen=amount_fen,
        digest=message.digest(),
        original=original,
    )


def _instant(month_day: str, time: str, now: datetime) -> datetime | None:
    """The instant that a terminal means by a day without a year: the one nearest to now."""
    this_year = now.astimezone(CITY_ZONE).year
    candidates = []
    for year in (this_year - 1, this_year, this_year + 1):
        try:
            candidates.append(moment_of(bytes.fromhex(f"{year:04d}{month_day}{time}")))
        except ValueError:
            continue  # no such day in that year, or no such day or time at all
    return min(candidates, key=lambda instant: abs(instant - now), default=None)


def _original(message: Message, now: datetime) -> str | None:
    """Field 61: batch 6, trace number 6, date MMDD 4 of the purchase, made at the same terminal."""
    told = message.get(61)
    if len(told) != 16 or not told.isdecimal():
        return None
    on = _instant(told[12:], "120000", now)
    return None if on is None else reference(message.get(41), on.astimezone(CITY_ZONE).date(), told[6:12])
