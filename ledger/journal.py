"""Entries as they are in the books, read back in posting order, a stream of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Connection, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS, one_of
from ledger.entry import Entry, Line
from ledger.snapshots import BELONGS


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with what the books added: its number, the digest it was booked under, and when."""

    entry_id: int
    entry: Entry
    digest: bytes
    posted_at: datetime


def read_entries(conn: Connection, *where: ColumnElement[bool]) -> Iterator[Recorded]:
    """The entries that fulfil conditions on `tables.entry`, with their lines, in posting order."""
    columns = tables.entry.c
    original = tables.entry.alias("original")
    heads = (
        select(
            columns.id,
            columns.reference,
            columns.kind,
            columns.business_date,
            columns.event_at,
            columns.narrative,
            original.c.reference,
            columns.digest,
            columns.posted_at,
        )
        .select_from(tables.entry.outerjoin(original, original.c.id == columns.reverses_id))
        .where(*where)
        .order_by(columns.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    lines = _read_lines(conn, *where)
    waiting = next(lines, None)
    for entry_id, reference, kind, day, event_at, narrative, reverses, digest, posted_at in conn.execute(
        heads
    ):
        own: list[Line] = []
        while waiting is not None and waiting[0] == entry_id:
            own.append(waiting[1])
            waiting = next(lines, None)
        entry = Entry(reference, kind, day, event_at, tuple(own), narrative, reverses)
        yield Recorded(entry_id, entry, digest, posted_at)


def of_day(business_date: date) -> ColumnElement[bool]:
    """The condition on entries that they are of one business date."""
    return tables.entry.c.business_date == business_date


def of_references(conn: Connection, references: Sequence[str]) -> ColumnElement[bool]:
    """The condition on entries that their reference is one of these."""
    return one_of(conn, tables.entry.c.reference, references)


def _read_lines(conn: Connection, *where: ColumnElement[bool]) -> Iterator[tuple[int, Line]]:
    line = tables.line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    query = (
        select(tables.entry.c.id, debit.c.code, credit.c.code, line.amount_fen, line.item)
        .select_from(
            tables.entry.join(tables.line, BELONGS)
            .join(debit, debit.c.id == line.debit_id)
            .join(credit, credit.c.id == line.credit_id)
        )
        .where(*where)
        .order_by(tables.entry.c.id, line.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    for entry_id, debit_code, credit_code, amount_fen, item in conn.execute(query):
        yield entry_id, Line(debit_code, credit_code, amount_fen, item)
