"""Account statements: what moved on a day on the account of a pool, a fund, a channel, a merchant.

Funds and channels are not paid by netting: they owe us, or have paid ahead, and settle against this sheet. A
participant sees here what it was owed and why; a batch of card taps is one row, its lines are in the statement.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, or_, select, union

from ledger.balances import balance_on
from ledger.journal import of_day
from ledger.tables import account, entry, line
from settlement.day_end import entry_lines
from settlement.files import CSV_ENCODING, harmless, placed
from settlement.workbook import Cell, Workbook, Yuan

SEGMENTS: Final = ("agent", "clearing", "fund")
MOVEMENT_COLUMNS: Final = (
    "time",
    "kind",
    "reference",
    "item",
    "other account",
    "debit yuan",
    "credit yuan",
    "balance yuan",
)


TAPS: Final = "clearing"
"""The kind of entry that books a batch of card taps."""


@dataclass(frozen=True, slots=True)
class _Taps:
    """A batch of card taps, shaped like a row of movements."""

    event_at: datetime
    kind: str
    item: str
    debited: str
    credited: str
    amount_fen: int


def write_account_statements(
    conn: Connection, business_date: date, folder: Path, *, made_at: datetime
) -> list[Path]:
    """Write a CSV and an XLSX for every account under SEGMENTS that moved on that date."""
    paths: list[Path] = []
    for code in moved_accounts(conn, business_date):
        stem = f"{code.replace(':', '-')}-{business_date:%Y%m%d}"
        targets = folder / f"{stem}.csv", folder / f"{stem}.xlsx"
        with ExitStack() as stack:
            drafts = [stack.enter_context(placed(path)) for path in targets]
            out = stack.enter_context(drafts[0].open("w", encoding=CSV_ENCODING, newline=""))
            book = stack.enter_context(Workbook(drafts[1], made_at))
            writer = csv.writer(out)
            for row in _head(conn, code, business_date):
                writer.writerow(harmless(row))
                book.head(row)
            book.sheet("Movements", MOVEMENT_COLUMNS)
            writer.writerow(MOVEMENT_COLUMNS)
            for movement in account_movements(conn, code, business_date):
                writer.writerow(harmless(movement))
                book.row(movement)
        paths += targets
    return paths


def moved_accounts(conn: Connection, business_date: date) -> list[str]:
    """The accounts under SEGMENTS with a line on that date, by code."""
    sides = [
        select(account.c.code)
        .select_from(entry_lines().join(account, account.c.id == side))
        .where(of_day(business_date), account.c.segment.in_(SEGMENTS))
        for side in (line.c.debit_id, line.c.credit_id)
    ]
    return sorted(conn.scalars(union(*sides)))


def account_movements(conn: Connection, code: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of MOVEMENT_COLUMNS in posting order, the balance in the account's natural direction."""
    opening = balance_on(conn, code, business_date - timedelta(days=1))
    balance_fen, sign = opening.balance_fen, 1 if opening.kind.grows_by_debit else -1
    debit, credit = account.alias("debit"), account.alias("credit")
    query = (
        select(
            entry.c.event_at,
            entry.c.kind,
            entry.c.reference,
            line.c.item,
            debit.c.code.label("debited"),
            credit.c.code.label("credited"),
            line.c.amount_fen,
        )
        .select_from(
            entry_lines()
            .join(debit, debit.c.id == line.c.debit_id)
            .join(credit, credit.c.id == line.c.credit_id)
        )
        .where(of_day(business_date), or_(debit.c.code == code, credit.c.code == code))
        .order_by(line.c.id)
    )
    for (reference, taps), lines in groupby(
        conn.execute(query), key=lambda row: (row.reference, row.kind == TAPS)
    ):
        for row in _one_row(list(lines)) if taps else lines:
            debit_fen = row.amount_fen if row.debited == code else 0
            balance_fen += sign * (2 * debit_fen - row.amount_fen)
            other = row.credited if row.debited == code else row.debited
            yield (
                row.event_at.isoformat(timespec="seconds"), row.kind, reference, row.item, other,
                Yuan(debit_fen), Yuan(row.amount_fen - debit_fen), Yuan(balance_fen),
            )  # fmt: skip


def _one_row(lines: Sequence[Any]) -> list[_Taps]:
    """A batch of card taps as one movement."""
    first, amount_fen = lines[0], sum(line.amount_fen for line in lines)
    return [_Taps(first.event_at, first.kind, f"{len(lines)} taps", "purse", first.credited, amount_fen)]


def _head(conn: Connection, code: str, business_date: date) -> list[tuple[str, Cell]]:
    before = balance_on(conn, code, business_date - timedelta(days=1))
    after = balance_on(conn, code, business_date)
    return [
        ("account", code),
        ("business date", business_date.isoformat()),
        ("opening yuan", Yuan(before.balance_fen)),
        ("debits yuan", Yuan(after.debits_fen - before.debits_fen)),
        ("credits yuan", Yuan(after.credits_fen - before.credits_fen)),
        ("closing yuan", Yuan(after.balance_fen)),
    ]
