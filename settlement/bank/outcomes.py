"""What became of payments: for a business date's participants, and for whoever has not been paid yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import Connection

from ledger.bulk import one_of
from settlement.bank.points import Point
from settlement.bank.store import KeptLine, lines_where
from settlement.bank.tables import bank_line
from settlement.bank_files import decimal_yuan
from settlement.instructions import Instructed, instructions_where
from settlement.tables import instruction as instruction_table

BANK_COLUMNS: Final = (
    "end-to-end id", "participant", "yuan", "value date", "days overdue", "account", "message", "state", "paid yuan",
    "what",
)  # fmt: skip
POINT_COLUMNS: Final = ("id", "what is open", "participant", "yuan", "since", "age days", "what", "remedy")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One payment to a participant and what the bank made of it; `statement` is the one that it was paid on."""

    end_to_end_id: str
    participant: str
    amount_fen: int
    value_date: date
    state: str
    arrived_fen: int
    paid_on: date | None
    statement: str
    reason: str
    message_id: str


def outcomes_on(conn: Connection, business_date: date) -> list[Outcome]:
    """Every payment of a business date, those that were made again included, by participant, as it stands now."""
    found = instructions_where(conn, instruction_table.c.business_date == business_date)
    names = [one.end_to_end_id for one in found]
    lines: dict[str, list[KeptLine]] = {}
    for line in lines_where(conn, one_of(conn, bank_line.c.instruction, names)):
        if line.instruction is not None:
            lines.setdefault(line.instruction, []).append(line)
    return [_outcome(one, lines.get(one.end_to_end_id, ())) for one in found]


def bank_row(one: Instructed, day: date, points: Sequence[Point]) -> Sequence[object]:
    """A row of BANK_COLUMNS for a payment that is not done, as of a day."""
    what = "; ".join(point.what for point in points if point.id == one.end_to_end_id)
    overdue = max((day - one.value_date).days, 0)
    return (
        one.end_to_end_id, one.participant, decimal_yuan(one.amount_fen), one.value_date, overdue, one.account_no,
        one.message_id, one.state, decimal_yuan(one.paid_fen), what,
    )  # fmt: skip


def point_row(one: Point, day: date) -> Sequence[object]:
    """A row of POINT_COLUMNS as of a day."""
    amount = decimal_yuan(one.amount_fen)
    return (
        one.id,
        one.kind.value,
        one.participant,
        amount,
        one.since,
        one.age_days(day),
        one.what,
        one.remedy,
    )


def _outcome(one: Instructed, lines: Sequence[KeptLine]) -> Outcome:
    """A payment with the newest line that moved it."""
    moved = [line for line in lines if line.moved_it]
    newest = max(moved, key=lambda line: (line.bank_day, line.statement, line.position), default=None)
    return Outcome(
        one.end_to_end_id, one.participant, one.amount_fen, one.value_date, one.state, one.paid_fen,
        newest.bank_day if newest else None, newest.statement_id if newest else "", one.reason, one.message_id,
    )  # fmt: skip
