"""Entries as they are in the books, read back in posting order, a stream of any length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, select

from ledger import tables
from ledger.archive import Archive, LinesArchived
from ledger.bulk import CHUNK_ROWS, one_of
from ledger.entry import Entry, Line
from ledger.ids import numbers_of
from ledger.snapshots import BELONGS, lines_on


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry with what the books added: its number, digest, running hash, when it was booked, its lines' place."""

    entry_id: int
    entry: Entry
    digest: bytes
    chain: bytes
    posted_at: datetime
    first_line_id: int
    line_count: int


def read_entries(
    conn: Connection, *where: ColumnElement[bool], archive: Archive | None = None
) -> Iterator[Recorded]:
    """The entries that fulfil conditions on `tables.entry`, with their lines, in posting order a day.

    Lines that are no longer in the books come from the archive; without it, such an entry has none.
    """
    return _read(conn, where, BELONGS, archive)


def read_day(conn: Connection, business_date: date, archive: Archive | None = None) -> Iterator[Recorded]:
    """The entries of a business date with their lines, in posting order; the archive as in `read_entries`."""
    # By the entry's number within the day's lines: one pass over both, where BELONGS would look up each.
    belongs = and_(tables.line.c.entry_id == tables.entry.c.id, lines_on(business_date))
    return _read(conn, (of_day(business_date),), belongs, archive)


def whole(recorded: Recorded) -> Recorded:
    """The same. Raises LinesArchived for an entry whose lines were not found."""
    if len(recorded.entry.lines) < recorded.line_count:
        raise LinesArchived(f"entry {recorded.entry.reference!r}", recorded.entry.business_date)
    return recorded


def of_day(business_date: date) -> ColumnElement[bool]:
    """The condition on entries that they are of one business date."""
    start, end = numbers_of(business_date)
    return and_(tables.entry.c.id > start, tables.entry.c.id < end)


def of_references(conn: Connection, references: Sequence[str]) -> ColumnElement[bool]:
    """The condition on entries that their reference is one of these."""
    return one_of(conn, tables.entry.c.reference, references)


def _read(
    conn: Connection,
    where: Sequence[ColumnElement[bool]],
    belongs: ColumnElement[bool],
    archive: Archive | None,
) -> Iterator[Recorded]:
    lines = _read_lines(conn, where, belongs)
    waiting = next(lines, None)
    for head in read_heads(conn, *where):
        own: list[Line] = []
        while waiting is not None and waiting[0] == head.entry_id:
            own.append(waiting[1])
            waiting = next(lines, None)
        if not own and archive is not None:
            own += archive.lines(conn, head.entry_id, head.first_line_id, head.line_count)
        yield replace(head, entry=replace(head.entry, lines=tuple(own)))


def read_heads(conn: Connection, *where: ColumnElement[bool]) -> Iterator[Recorded]:
    """The entries that fulfil conditions on `tables.entry`, without their lines, in posting order a day."""
    for row in conn.execute(_heads().where(*where)):
        entry_id, reference, kind, day, event_at, narrative, reverses, settles, *booked = row
        digest, chain, posted_at, first_line_id, line_count = booked
        entry = Entry(reference, kind, day, event_at, (), narrative, reverses, settles)
        yield Recorded(entry_id, entry, bytes(digest), bytes(chain), posted_at, first_line_id, line_count)


@cache
def _heads() -> Select[*tuple[Any, ...]]:
    columns = tables.entry.c
    original = tables.entry.alias("original")
    return (
        select(
            columns.id,
            columns.reference,
            columns.kind,
            columns.business_date,
            columns.event_at,
            columns.narrative,
            original.c.reference,
            tables.hold.c.reference,
            columns.digest,
            columns.chain,
            columns.posted_at,
            columns.first_line_id,
            columns.line_count,
        )
        .select_from(
            tables.entry.outerjoin(original, original.c.id == columns.reverses_id).outerjoin(
                tables.hold, tables.hold.c.id == columns.settles_id
            )
        )
        .order_by(columns.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )


def _read_lines(
    conn: Connection, where: Sequence[ColumnElement[bool]], belongs: ColumnElement[bool]
) -> Iterator[tuple[int, Line]]:
    line = tables.line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    query = (
        select(tables.entry.c.id, debit.c.code, credit.c.code, line.amount_fen, line.item)
        .select_from(
            tables.entry.join(tables.line, belongs)
            .join(debit, debit.c.id == line.debit_id)
            .join(credit, credit.c.id == line.credit_id)
        )
        .where(*where)
        .order_by(tables.entry.c.id, line.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    for entry_id, debit_code, credit_code, amount_fen, item in conn.execute(query):
        yield entry_id, Line(debit_code, credit_code, amount_fen, item)
