"""The lines of a business date by account: from the books, or from the archive where they have gone there.

Batches of card taps have thousands of lines on one account and are summed up, each on each account, by the database.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Integer, Select, func, literal, select, union_all

from ledger.accounts import segment_of
from ledger.archive import Archive, lines_begin
from ledger.journal import of_day, read_day, whole
from ledger.snapshots import total_fen
from ledger.tables import account, entry, line
from settlement.day_end import entry_lines

TAPS: Final = "clearing"
"""The kind of entry that books a batch of card taps."""
_FETCH_ROWS: Final = 5_000


class DayLine(NamedTuple):
    """A line seen from one of its accounts, `own`; or the `lines` of a batch of taps on it, which have no item.

    The amount is in fen. Of a batch, the other account is the sub-ledger of the purses.
    """

    own: str
    event_at: datetime
    kind: str
    reference: str
    item: str
    debited: str
    credited: str
    amount_fen: int
    lines: int = 1


PURSES: Final = "purse"


def is_archived(conn: Connection, business_date: date) -> bool:
    """Whether the lines of a date have left the books."""
    begin = lines_begin(conn)
    return begin is not None and business_date < begin


def lines_by_account(
    conn: Connection, business_date: date, segments: tuple[str, ...], archive: Archive | None = None
) -> Iterator[DayLine]:
    """What moved on a date on accounts under these segments, by account's code, then in posting order.

    One pass over the day, however many accounts moved. Raises LinesArchived where the lines are in an archive
    that was not named, and ArchiveDamaged.
    """
    if not is_archived(conn, business_date):
        return _in_books(conn, business_date, segments)
    # A stable sort: of one account, lines stay in posting order.
    lines = sorted(_archived(conn, business_date, segments, archive), key=lambda one: one.own.encode("ascii"))
    return _batches_summed(lines)


def _in_books(conn: Connection, business_date: date, segments: tuple[str, ...]) -> Iterator[DayLine]:
    sides = [
        side
        for debited in (True, False)
        for side in (
            _single_lines(business_date, segments, debited=debited),
            _whole_batches(business_date, segments, debited=debited),
        )
    ]
    both = union_all(*sides).subquery()
    query = select(both).order_by(both.c.own, both.c.line_id)
    streamed = query.execution_options(stream_results=True, yield_per=_FETCH_ROWS)
    for row in conn.execute(streamed):
        yield DayLine(*row[:-1])


def _single_lines(
    business_date: date, segments: tuple[str, ...], *, debited: bool
) -> Select[*tuple[Any, ...]]:
    debit, credit = account.alias("debit"), account.alias("credit")
    lines = (
        entry_lines().join(debit, debit.c.id == line.c.debit_id).join(credit, credit.c.id == line.c.credit_id)
    )
    own = debit if debited else credit
    return (
        select(
            own.c.code.label("own"),
            entry.c.event_at,
            entry.c.kind,
            entry.c.reference,
            line.c.item,
            debit.c.code.label("debited"),
            credit.c.code.label("credited"),
            line.c.amount_fen,
            literal(1, Integer).label("lines"),
            line.c.id.label("line_id"),
        )
        .select_from(lines)
        .where(of_day(business_date), entry.c.kind != TAPS, own.c.segment.in_(segments))
    )


def _whole_batches(
    business_date: date, segments: tuple[str, ...], *, debited: bool
) -> Select[*tuple[Any, ...]]:
    own_id = line.c.debit_id if debited else line.c.credit_id
    # Summed by numbers alone: texts of the entry beside each line would be sorted with it.
    summed = (
        select(
            own_id.label("own_id"),
            entry.c.id.label("entry_id"),
            total_fen(line.c.amount_fen).label("amount_fen"),
            func.count().label("lines"),
            func.min(line.c.id).label("line_id"),
        )
        .select_from(entry_lines())
        .where(
            of_day(business_date),
            entry.c.kind == TAPS,
            own_id.in_(select(account.c.id).where(account.c.segment.in_(segments))),
        )
        .group_by(own_id, entry.c.id)
        .subquery()
    )
    purses = literal(PURSES)
    sides = (account.c.code, purses) if debited else (purses, account.c.code)
    return (
        select(
            account.c.code,
            entry.c.event_at,
            entry.c.kind,
            entry.c.reference,
            literal(""),
            *sides,
            summed.c.amount_fen,
            summed.c.lines,
            summed.c.line_id,
        )
        .join(account, account.c.id == summed.c.own_id)
        .join(entry, entry.c.id == summed.c.entry_id)
    )


def _batches_summed(lines: Iterable[DayLine]) -> Iterator[DayLine]:
    """The same, with the lines of each batch of taps on each side of an account as one."""
    for _, several in groupby(lines, key=lambda one: (one.own, one.reference)):
        own = list(several)
        if own[0].kind != TAPS:
            yield from own
            continue
        for debited in (True, False):
            of_side = [one for one in own if (one.debited == one.own) is debited]
            if of_side:
                sides = (of_side[0].own, PURSES) if debited else (PURSES, of_side[0].own)
                yield of_side[0]._replace(
                    item="",
                    debited=sides[0],
                    credited=sides[1],
                    amount_fen=sum(one.amount_fen for one in of_side),
                    lines=len(of_side),
                )


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
