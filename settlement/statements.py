"""Settlement statements: what a participant is paid for a business date, and every line behind it.

A CSV and an XLSX with the same content: particulars, totals by ride and verdict, then a line a tap, suspended
and rejected ones included. Rides on riders' codes and online payments have a CSV of their own, `-codes` and
`-payments`, and a sheet each. Together the lines and what was brought forward add up to the gross. Where there
are more lines than a person would page through, the workbook holds the first of them and names the CSV that
holds all. Amounts are in yuan; the files' bytes depend on the books alone.
"""

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection

from clearing.interop.waiting import accepted_fen
from clearing.online.totals import ParticipantTotal, participant_totals
from ledger.balances import balance_on
from settlement.day_end import NETTED
from settlement.files import CSV_ENCODING, harmless, placed
from settlement.instructions import Instructed
from settlement.netting import Position
from settlement.participants import Participant
from settlement.statement_lines import (
    CODE_COLUMNS,
    ON_CODE,
    PAYMENT_COLUMNS,
    SUMMARY_COLUMNS,
    TAP_COLUMNS,
    Rides,
    RideTotal,
    code_lines,
    payment_lines,
    ride_name,
    tap_lines,
    tap_texts,
)
from settlement.workbook import BOOK_LINES, Cell, Workbook, Yuan


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement is about; `instruction` is missing where nothing is paid out."""

    business_date: date
    operator: str
    participant: Participant | None
    position: Position | None
    instruction: Instructed | None
    taps: Rides
    codes: Rides

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


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of one kind: the name of their sheet, their CSV, how many there are and what they come to.

    `texts` are the same lines as the CSV has them, where the database has written them: then `lines` are only those
    of the workbook.
    """

    sheet: str
    table: Path
    columns: Sequence[str]
    lines: Iterable[tuple[Cell, ...]]
    count: int
    amount_fen: int
    texts: Iterable[str] | None = None


def write_statement(
    conn: Connection, statement: Statement, folder: Path, *, made_at: datetime
) -> tuple[Path, ...]:
    """Write the XLSX and the CSVs of one participant into `folder`; `made_at` goes into the workbook.

    The first two are the participant's CSV and XLSX; a CSV of rides on codes and one of payments follow where
    there are any.
    """
    stem = f"{statement.operator}-{statement.business_date:%Y%m%d}"
    main, book_path = folder / f"{stem}.csv", folder / f"{stem}.xlsx"
    summary, taps, others = _contents(conn, statement, folder, stem)
    head = [*statement.particulars(), *_parts(conn, statement, (taps, *others))]
    with ExitStack() as stack:
        drafts = {
            path: stack.enter_context(placed(path)) for path in (main, book_path, *(o.table for o in others))
        }
        book = stack.enter_context(Workbook(drafts[book_path], made_at, bold=SUMMARY_COLUMNS))
        out = stack.enter_context(drafts[main].open("w", encoding=CSV_ENCODING, newline=""))
        writer = csv.writer(out)
        for row in (*head, *_cut((taps, *others)), (), SUMMARY_COLUMNS, *summary, ()):
            writer.writerow(harmless(row))
            book.head(row)
        _write_lines(out, book, taps)
        for section in others:
            with drafts[section.table].open("w", encoding=CSV_ENCODING, newline="") as table:
                _write_lines(table, book, section)
    return main, book_path, *(section.table for section in others)


def _contents(
    conn: Connection, statement: Statement, folder: Path, stem: str
) -> tuple[list[tuple[Cell, ...]], Section, list[Section]]:
    """The totals of rides, the section of taps, and those others that have a line."""
    of = (conn, statement.operator, statement.business_date)
    tapped, coded = statement.taps.totals, statement.codes.totals
    which = (conn, statement.operator, statement.taps.batches, statement.business_date)
    paid = participant_totals(conn, statement.business_date, statement.operator)
    taps = Section(
        "Taps",
        folder / f"{stem}.csv",
        TAP_COLUMNS,
        tap_lines(*which, BOOK_LINES),
        *_count_and_amount(tapped),
        tap_texts(*which),
    )
    codes = Section(
        "Rides on codes",
        folder / f"{stem}-codes.csv",
        CODE_COLUMNS,
        code_lines(*of),
        *_count_and_amount(coded),
    )
    payments = Section(
        "Payments",
        folder / f"{stem}-payments.csv",
        PAYMENT_COLUMNS,
        payment_lines(*of),
        sum(map(_line_count, paid)),
        sum(one.net_fen for one in paid),
    )
    summary: list[tuple[Cell, ...]] = [
        (ride_name(ride) + after, verdict, money, count, Yuan(presented_fen), Yuan(paid_fen))
        for totals, after in ((tapped, ""), (coded, ON_CODE))
        for ride, verdict, money, count, presented_fen, paid_fen in totals
    ]
    return summary, taps, [section for section in (codes, payments) if section.count]


def _count_and_amount(rides: Sequence[RideTotal]) -> tuple[int, int]:
    return sum(one.rides for one in rides), sum(one.paid_fen for one in rides)


def _line_count(total: ParticipantTotal) -> int:
    return total.payments + total.refunds + total.reversals


def _parts(conn: Connection, statement: Statement, sections: Sequence[Section]) -> list[tuple[str, Cell]]:
    """What the gross is made of, part by part."""
    before = statement.business_date - timedelta(days=1)
    brought_fen = 0
    for segment in NETTED:
        # Of an account that there is not, nothing was ever owed.
        with suppress(LookupError):
            brought_fen -= balance_on(conn, f"{segment}:{statement.operator}", before).net_fen
    here_fen = accepted_fen(conn, statement.operator, statement.business_date)
    return [
        ("brought forward yuan", Yuan(brought_fen)),
        *((f"{section.sheet.lower()} yuan", Yuan(section.amount_fen)) for section in sections),
        *((("its cards here yuan", Yuan(-here_fen)),) if here_fen else ()),
    ]


def _cut(sections: Sequence[Section]) -> list[tuple[str, Cell]]:
    """The lines that say so where the workbook does not hold everything."""
    return [
        (
            "workbook holds",
            f"{BOOK_LINES} of {one.count} {one.sheet.lower()}; all are in {one.table.name}",
        )
        for one in sections
        if one.count > BOOK_LINES
    ]


def _write_lines(out: TextIO, book: Workbook, section: Section) -> None:
    book.sheet(section.sheet, section.columns)
    writer = csv.writer(out)
    writer.writerow(section.columns)
    for number, line in enumerate(section.lines):
        if section.texts is None:
            writer.writerow(line)
        if number < BOOK_LINES:
            book.row(line)
    out.writelines(section.texts or ())
