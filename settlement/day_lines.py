"""The lines of a business date by account: from the books, or from the archive where they have gone there.

Batches of card taps have thousands of lines on one account and are summed up, each on each account, by NumPy: a
database that joins them with their entries may hold each line against each batch.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from heapq import merge
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import Connection, Integer, Select, literal, select, union_all

from ledger.accounts import segment_of
from ledger.archive import Archive, lines_begin
from ledger.ids import numbers_of
from ledger.journal import of_day, read_day, whole
from ledger.line_sums import sums_by_entry
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
    sides = [_single_lines(business_date, segments, debited=debited) for debited in (True, False)]
    both = union_all(*sides).subquery()
    query = select(both).order_by(both.c.own, both.c.line_id)
    streamed = query.execution_options(stream_results=True, yield_per=_FETCH_ROWS)
    batches = sorted(_whole_batches(conn, business_date, segments), key=_by_account)
    singles = ((DayLine(*row[:-1]), row[-1]) for row in conn.execute(streamed))
    for found, _ in merge(singles, batches, key=_by_account):
        yield found


def _by_account(found: tuple[DayLine, int]) -> tuple[str, int]:
    """A line's account and number; codes are ASCII, and databases sort them as Python does."""
    return found[0].own, found[1]


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
    conn: Connection, business_date: date, segments: tuple[str, ...]
) -> Iterator[tuple[DayLine, int]]:
    """Each batch of taps on each side of an account, with the number of its first line."""
    accounts = select(account.c.id, account.c.code).where(account.c.segment.in_(segments))
    codes: dict[int, str] = dict(conn.execute(accounts.order_by(account.c.id)).all())
    heads = select(entry.c.id, entry.c.event_at, entry.c.reference).where(
        of_day(business_date), entry.c.kind == TAPS
    )
    said = {number: (event_at, reference) for number, event_at, reference in conn.execute(heads)}
    sums = sums_by_entry(conn, *numbers_of(business_date), TAPS, np.array(list(codes), np.int64))
    for one in sums:
        own, (event_at, reference) = codes[one.account_id], said[one.entry_id]
        sides = (own, PURSES) if one.debited else (PURSES, own)
        yield DayLine(own, event_at, TAPS, reference, "", *sides, one.amount_fen, one.lines), one.line_id


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
