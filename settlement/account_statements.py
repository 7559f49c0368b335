"""Account statements: what moved on a day on the account of a pool, a fund, a channel, a merchant.

Funds and channels are not paid by netting: they owe us, or have paid ahead, and settle against this sheet. A
participant sees here what it was owed and why; a batch of card taps is one row, its lines are in the statement.
The workbook holds the first movements, and says so where the CSV beside it has more.
"""

import csv
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from clearing.wording import taps_in_words
from ledger.archive import Archive
from ledger.balances import balance_on
from settlement.day_lines import TAPS, DayLine, lines_by_account
from settlement.files import CSV_ENCODING, harmless, placed
from settlement.workbook import BOOK_LINES, Cell, Workbook, Yuan

SEGMENTS: Final = ("agent", "city", "clearing", "fund")
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
    conn: Connection,
    business_date: date,
    folder: Path,
    *,
    made_at: datetime,
    archive: Archive | None = None,
) -> list[Path]:
    """Write a CSV and an XLSX for every account under SEGMENTS that moved on that date.

    Of a date in an archived month the lines are read from `archive`; LinesArchived says that it is needed.
    """
    paths: list[Path] = []
    lines = lines_by_account(conn, business_date, SEGMENTS, archive)
    for code, own in groupby(lines, key=lambda one: one.own):
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
            count = 0
            for count, movement in enumerate(_movements(conn, code, business_date, own), 1):
                writer.writerow(harmless(movement))
                if count <= BOOK_LINES:
                    book.row(movement)
            if count > BOOK_LINES:
                book.head(
                    ("workbook holds", f"{BOOK_LINES} of {count} movements; all are in {targets[0].name}")
                )
        paths += targets
    return paths


def _movements(
    conn: Connection, code: str, business_date: date, own: Iterable[DayLine]
) -> Iterator[tuple[Cell, ...]]:
    """Rows of MOVEMENT_COLUMNS in posting order, the balance in the account's natural direction."""
    opening = balance_on(conn, code, business_date - timedelta(days=1))
    balance_fen, sign = opening.balance_fen, 1 if opening.kind.grows_by_debit else -1
    for row in own:
        debit_fen = row.amount_fen if row.debited == code else 0
        balance_fen += sign * (2 * debit_fen - row.amount_fen)
        other = row.credited if row.debited == code else row.debited
        item = taps_in_words(row.lines) if row.kind == TAPS else row.item
        yield (
            row.event_at.isoformat(timespec="seconds"), row.kind, row.reference, item, other,
            Yuan(debit_fen), Yuan(row.amount_fen - debit_fen), Yuan(balance_fen),
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
