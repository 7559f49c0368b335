"""Settlement statements: what a participant is paid for a business date, and every tap behind it.

One CSV and one XLSX with the same content: particulars, totals by ride and verdict, then a line a tap,
suspended and rejected ones included. Where there are more taps than a person would page through, the workbook
holds the first of them and names the CSV that holds all. Amounts are in yuan; both files' bytes depend on the
books alone.
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from clearing.tables import tap
from clearing.wire.batch import batch_name
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.record import Ride
from ledger.snapshots import total_fen
from settlement.files import CSV_ENCODING, harmless, placed
from settlement.instructions import Instructed
from settlement.netting import Position
from settlement.participants import Participant
from settlement.workbook import Cell, Workbook, Yuan

SUMMARY_COLUMNS: Final = ("ride", "verdict", "money", "taps", "presented yuan", "paid yuan")
TAP_COLUMNS: Final = (
    "file", "record", "time", "ride", "line", "station", "terminal", "terminal sequence", "card", "counter",
    "list fare yuan", "presented yuan", "tariff yuan", "paid yuan", "verdict", "money", "first presented",
)  # fmt: skip
BOOK_TAPS: Final = 5_000
"""Taps in a workbook: it is for a person; a program reads the CSV."""
_FETCH_ROWS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says at its head; `instruction` is missing where nothing is paid out."""

    business_date: date
    operator: str
    participant: Participant | None
    position: Position | None
    instruction: Instructed | None

    def particulars(self) -> list[tuple[str, Cell]]:
        """The head, as labelled values."""
        position, paid = self.position, self.instruction
        return [
            ("operator", self.operator),
            ("name", self.participant.display_name if self.participant else ""),
            ("business date", self.business_date.isoformat()),
            ("gross yuan", Yuan(position.gross_fen if position else 0)),
            ("fee yuan", Yuan(position.fee_fen if position else 0)),
            ("net yuan", Yuan(position.position_fen if position else 0)),
            ("standing", str(position.standing) if position else "no position"),
            ("account", paid.account_no if paid else ""),
            ("bank code", paid.bank_code if paid else ""),
            ("end-to-end id", paid.end_to_end_id if paid else ""),
            ("value date", paid.value_date.isoformat() if paid else ""),
        ]


def write_statement(
    conn: Connection, statement: Statement, folder: Path, *, made_at: datetime
) -> tuple[Path, Path]:
    """Write the CSV and the XLSX of one operator into `folder`; `made_at` goes into the workbook."""
    stem = f"{statement.operator}-{statement.business_date:%Y%m%d}"
    paths = folder / f"{stem}.csv", folder / f"{stem}.xlsx"
    summary = tap_totals(conn, statement.operator, statement.business_date)
    with ExitStack() as stack:
        drafts = [stack.enter_context(placed(path)) for path in paths]
        table = stack.enter_context(drafts[0].open("w", encoding=CSV_ENCODING, newline=""))
        book = stack.enter_context(Workbook(drafts[1], made_at, bold=SUMMARY_COLUMNS))
        writer = csv.writer(table)
        for row in (*statement.particulars(), *_cut(summary, paths[0]), (), SUMMARY_COLUMNS, *summary, ()):
            writer.writerow(harmless(row))
            book.head(row)
        book.sheet("Taps", TAP_COLUMNS)
        writer.writerow(TAP_COLUMNS)
        for number, line in enumerate(tap_lines(conn, statement.operator, statement.business_date)):
            writer.writerow(line)
            if number < BOOK_TAPS:
                book.row(line)
    return paths


def _cut(summary: Sequence[tuple[Cell, ...]], everything: Path) -> list[tuple[str, Cell]]:
    """The line that says so where the workbook does not hold all taps."""
    taps = sum(row[3] for row in summary if isinstance(row[3], int))
    return (
        [("workbook holds", f"{BOOK_TAPS} of {taps} taps; all are in {everything.name}")]
        if taps > BOOK_TAPS
        else []
    )


def operators_of(conn: Connection, business_date: date) -> list[str]:
    """Operators with a tap that this night was shown or decided."""
    query = select(tap.c.operator).where(_of_night(business_date)).distinct().order_by(tap.c.operator)
    return list(conn.scalars(query))


def tap_totals(conn: Connection, operator: str, business_date: date) -> list[tuple[Cell, ...]]:
    """Rows of SUMMARY_COLUMNS: the night's taps of one operator by ride and verdict."""
    keys = (tap.c.ride, tap.c.verdict, tap.c.money)
    query = (
        select(*keys, func.count(), total_fen(tap.c.amount_fen), total_fen(tap.c.paid_fen))
        .where(tap.c.operator == operator, _of_night(business_date))
        .group_by(*keys)
        .order_by(*keys)
    )
    return [
        (ride_name(ride), verdict, money, count, Yuan(presented_fen), Yuan(paid_fen))
        for ride, verdict, money, count, presented_fen, paid_fen in conn.execute(query)
    ]


def tap_lines(conn: Connection, operator: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of TAP_COLUMNS in the order of presentment, fetched as they are used."""
    table = tap.c
    query = (
        select(
            table.sequence, table.position, table.event_at, table.ride, table.line, table.station,
            table.terminal, table.terminal_sequence, table.card_no, table.counter, table.list_fare_fen,
            table.amount_fen, table.price_fen, table.paid_fen, table.verdict, table.money,
            table.business_date,
        )
        .where(table.operator == operator, _of_night(business_date))
        .order_by(table.sequence, table.position)
    )  # fmt: skip
    for row in conn.execute(query, execution_options={"stream_results": True, "yield_per": _FETCH_ROWS}):
        yield (
            batch_name(operator, row.sequence),
            row.position,
            city_time(row.event_at),
            ride_name(row.ride),
            row.line,
            row.station,
            row.terminal,
            row.terminal_sequence,
            row.card_no,
            row.counter,
            Yuan(row.list_fare_fen),
            Yuan(row.amount_fen),
            "" if row.price_fen is None else Yuan(row.price_fen),
            Yuan(row.paid_fen),
            row.verdict,
            row.money,
            row.business_date.isoformat(),
        )


def ride_name(ride: int) -> str:
    """`bus`, `metro_entry`, `metro_exit`; the number where a malformed record holds no ride."""
    return Ride(ride).name.lower() if ride in tuple(Ride) else str(ride)


def city_time(instant: datetime | None) -> str:
    """An instant on the city's clock, `2018-09-01 08:15:00`; empty where the record's time is unreadable."""
    return instant.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if instant else ""


def _of_night(business_date: date) -> ColumnElement[bool]:
    return or_(tap.c.business_date == business_date, tap.c.decided_on == business_date)
