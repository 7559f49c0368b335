"""The lines of a business date, one by one: from the books, or from the archive where they have gone there."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, union_all

from ledger.accounts import segment_of
from ledger.archive import Archive, lines_begin
from ledger.journal import of_day, read_day, whole
from ledger.tables import account, entry, line
from settlement.day_end import entry_lines

_FETCH_ROWS = 5_000


class DayLine(NamedTuple):
    """A line seen from one of its accounts, `own`; the amount in fen."""

    own: str
    event_at: datetime
    kind: str
    reference: str
    item: str
    debited: str
    credited: str
    amount_fen: int


def is_archived(conn: Connection, business_date: date) -> bool:
    """Whether the lines of a date have left the books."""
    begin = lines_begin(conn)
    return begin is not None and business_date < begin


def lines_by_account(
    conn: Connection, business_date: date, segments: tuple[str, ...], archive: Archive | None = None
) -> Iterator[DayLine]:
    """The lines of a date on accounts under these segments, by account's code, then in posting order.

    One pass over the day, however many accounts moved. Raises LinesArchived where the lines are in an archive
    that was not named, and ArchiveDamaged.
    """
    if not is_archived(conn, business_date):
        return _in_books(conn, business_date, segments)
    # A stable sort: of one account, lines stay in posting order.
    return iter(
        sorted(_archived(conn, business_date, segments, archive), key=lambda one: one.own.encode("ascii"))
    )


def _in_books(conn: Connection, business_date: date, segments: tuple[str, ...]) -> Iterator[DayLine]:
    debit, credit = account.alias("debit"), account.alias("credit")
    lines = (
        entry_lines().join(debit, debit.c.id == line.c.debit_id).join(credit, credit.c.id == line.c.credit_id)
    )
    sides = [
        select(
            own.c.code.label("own"),
            entry.c.event_at,
            entry.c.kind,
            entry.c.reference,
            line.c.item,
            debit.c.code.label("debited"),
            credit.c.code.label("credited"),
            line.c.amount_fen,
            line.c.id.label("line_id"),
        )
        .select_from(lines)
        .where(of_day(business_date), own.c.segment.in_(segments))
        for own in (debit, credit)
    ]
    both = union_all(*sides).subquery()
    query = select(both).order_by(both.c.own, both.c.line_id)
    streamed = query.execution_options(stream_results=True, yield_per=_FETCH_ROWS)
    for row in conn.execute(streamed):
        yield DayLine(*row[:-1])


def _archived(
    conn: Connection, business_date: date, segments: tuple[str, ...], archive: Archive | None
) -> Iterator[DayLine]:
    for recorded in map(whole, read_day(conn, business_date, archive)):
        one = recorded.entry
        for part in one.lines:
            for own in (part.debit, part.credit):
                if segment_of(own) in segments:
                    yield DayLine(
                        own, one.event_at, one.kind, one.reference, part.item, part.debit, part.credit,
                        part.amount_fen,
                    )  # fmt: skip
