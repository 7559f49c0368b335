"""The demonstration's two days at the bank: payments are made, one is rejected and made again by two people."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection

from city.bank import bank_day
from city.home import CITY_ZONE
from city.world import City
from ledger.day import current_day
from ledger.db import reading, writing
from settlement.bank.decisions import approve
from settlement.bank.drop_folder import Round, sweep
from settlement.bank.outcomes import Outcome, outcomes_on
from settlement.bank.points import Point, points_of
from settlement.bank.proposals import Asked, Decision, Proposal, propose
from settlement.bank.reserve import Reserve, reserve_report
from settlement.bank.taking import Taken
from settlement.participants import SCHEME, participants_of
from settlement.two_people import Word

REASON = "AC04"
"""The external code of a closed account."""
MAKER, CHECKER = "finance-1", "finance-2"


@dataclass(frozen=True, slots=True)
class Banked:
    """What came of a night's payments: what each file did, what was paid again, and where the reserve stands."""

    read: tuple[Taken, ...]
    rejected: str
    again: Proposal
    outcomes: tuple[Outcome, ...]
    reserve: Reserve
    open: tuple[Point, ...]


def settle_at_bank(city: City, day: datetime, deposits: Mapping[str, int], *, reject: str) -> Banked:
    """Have the bank pay what the night of a day has ordered; it rejects the payment to `reject`, which is made again.

    `deposits` is what came into the reserve before, in fen by the reference that its payer gave.
    """
    business_date = day.date()
    home = city.home.world / "bank"
    with reading(city.engine) as conn:
        account_no = participants_of(conn, [SCHEME])[SCHEME].account_no
        payments = {one.participant: one for one in outcomes_on(conn, business_date)}
    refused = payments[reject].end_to_end_id
    first = max(one.value_date for one in payments.values())
    paid_in = [word for name, fen in deposits.items() for word in ("--deposit", f"{name}={fen}")]
    _hand_over(city, home)
    files = bank_day(home, account_no, first, *paid_in, "--reject", f"{refused}={REASON}")
    at = datetime.combine(first, day.timetz().replace(hour=19))
    read = _take(city, files, at)
    again = _pay_again(city, refused, at)
    with reading(city.engine) as conn:
        (made,) = [one for one in outcomes_on(conn, business_date) if one.end_to_end_id == again.made]
    _hand_over(city, home)
    at += timedelta(days=(made.value_date - first).days)
    read += _take(city, bank_day(home, account_no, made.value_date), at)
    with reading(city.engine) as conn:
        return Banked(
            tuple(read), refused, again, tuple(outcomes_on(conn, business_date)),
            reserve_report(conn, current_day(conn)), _open(conn, at),
        )  # fmt: skip


def _hand_over(city: City, home: Path) -> None:
    """Bring the bank every message that has left."""
    (home / "in").mkdir(parents=True, exist_ok=True)
    for message in sorted(city.home.nights.glob("*/out/bank/*.xml")):
        shutil.copyfile(message, home / "in" / message.name)


def _take(city: City, files: list[Path], at: datetime) -> list[Taken]:
    """Drop files of the bank's into its folder and have them taken. Raises RuntimeError where one stays there."""
    folder = city.home.bank_inbox
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    swept = sweep(Round(city.engine, city.home.archive, folder, at, at.date()))
    if swept.troubles:
        raise RuntimeError("; ".join(swept.troubles))
    return swept.taken


def _pay_again(city: City, refused: str, at: datetime) -> Proposal:
    """One person finds the participant's new account and proposes, another approves."""
    asked = Asked(
        refused,
        Decision.PAY_AGAIN,
        "the participant has a new account",
        MAKER,
        at,
        account_no="6222020200009999",
    )
    with writing(city.engine) as conn:
        made = propose(conn, asked, at.date())
    if not isinstance(made, Proposal):
        raise RuntimeError(made.message)
    word = Word(made.number, CHECKER, at + timedelta(minutes=10))
    done = approve(city.engine, word, nights=city.home.nights, today=at.date())
    if not isinstance(done, Proposal):
        raise RuntimeError(done.message)
    return done


def _open(conn: Connection, at: datetime) -> tuple[Point, ...]:
    return tuple(points_of(conn, at.astimezone(CITY_ZONE).date()))
