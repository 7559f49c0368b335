"""Account statements: what moved on a day on the account of a pool, a fund, a channel, a merchant.

Funds and channels are not paid by netting: they owe us, or have paid ahead, and settle against this sheet. A
participant that presents no taps (a hospital, a biller, an agency, a shop) sees here what it was owed and why.
"""

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, or_, select, union

from ledger.balances import balance_on
from ledger.tables import account, entry, line
from settlement.day_end import entry_lines
from settlement.files import CSV_ENCODING, harmless, placed
from settlement.statements import operators_of
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


def write_account_statements(
    conn: Connection, business_date: date, folder: Path, *, made_at: datetime
) -> list[Path]:
    """Write a CSV and an XLSX for every account under SEGMENTS that moved on that date.

    Operators that presented taps are left out: their own statement has a line a tap.
    """
    paths: list[Path] = []
    operators = {f"clearing:{operator}" for operator in operators_of(conn, business_date)}
    for code in sorted(set(moved_accounts(conn, business_date)) - operators):
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
        .where(entry.c.business_date == business_date, account.c.segment.in_(SEGMENTS))
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
            debit.c.code,
            credit.c.code,
            line.c.amount_fen,
        )
        .select_from(
            entry_lines()
            .join(debit, debit.c.id == line.c.debit_id)
            .join(credit, credit.c.id == line.c.credit_id)
        )
        .where(entry.c.business_date == business_date, or_(debit.c.code == code, credit.c.code == code))
        .order_by(line.c.id)
    )
    for event_at, kind, reference, item, debited, credited, amount_fen in conn.execute(query):
        debit_fen = amount_fen if debited == code else 0
        balance_fen += sign * (2 * debit_fen - amount_fen)
        other = credited if debited == code else debited
        yield (
            event_at.isoformat(timespec="seconds"), kind, reference, item, other, Yuan(debit_fen),
            Yuan(amount_fen - debit_fen), Yuan(balance_fen),
        )  # fmt: skip


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
