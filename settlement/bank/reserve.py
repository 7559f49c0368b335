"""The reserve-funds report (备付金): what customers and participants are owed against the custodian's balance, bridged.

All of it is as of the end of a business date: the books' balances then, and of statements those that had been read by
then. What the books have moved and no statement has spoken of is listed by age, and what is left after it is named.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, select

from ledger.archive import Archive
from ledger.balances import balance_on
from ledger.bulk import one_of
from ledger.history import Movement, history
from settlement.bank.booking import PAYMENT, RESERVE, RETURN, SUSPENDING
from settlement.bank.statement_checks import Kept, gaps, in_order
from settlement.bank.store import statements_where
from settlement.bank.tables import bank_line, bank_statement
from settlement.day_end import trial_balance_at

CUSTOMERS: Final = ("purse", "wallet", "medical", "subsidy", "load", "deposit")
PARTICIPANTS: Final = ("clearing", "payable")
LISTED_DAYS: Final = 92
"""How far back what no statement has spoken of is listed line by line; what is older is in the rest."""

_PAGE: Final = 1_000
_OF_STATEMENTS: Final = (PAYMENT, RETURN, SUSPENDING)


@dataclass(frozen=True, slots=True)
class ReserveRow:
    """A row of the report; amounts that are owed, or that went out, are below zero."""

    part: str
    what: str
    since: date | None
    age_days: int | None
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Reserve:
    """The report: `statement` is the newest that was read, `rest_fen` what nothing of the rows explains."""

    business_date: date
    statement: Kept | None
    custodian_fen: int
    books_fen: int
    rest_fen: int
    rows: tuple[ReserveRow, ...]


def reserve_report(conn: Connection, business_date: date, archive: Archive | None = None) -> Reserve:
    """The reserve as of the end of a business date; without an archive, its lines as far as they are in the books."""
    read = in_order(statements_where(conn, bank_statement.c.booked_on <= business_date))
    newest = read[-1] if read else None
    try:
        books_fen = balance_on(conn, RESERVE, business_date).balance_fen
        moved = list(_movements(conn, business_date, archive))
    except LookupError:  # a city that has no money at any bank yet
        books_fen, moved = 0, []
    begin = read[0].opening_on if read else date.min
    unreached = [one for one in _unreached(conn, moved, business_date) if one.business_date >= begin]
    custodian_fen = newest.closing_fen if newest else 0
    missing = [(gap, gap.after.opening_fen - gap.before.closing_fen) for gap in gaps(read)]
    unreached_fen = sum(one.amount_fen for one in unreached)
    rest_fen = books_fen - custodian_fen - unreached_fen + sum(fen for _, fen in missing) if newest else 0
    rows = [
        *_cover(conn, business_date, newest),
        *_bridge(business_date, moved, books_fen),
        *_statement(newest, business_date, custodian_fen),
        *(_unreached_row(one, business_date) for one in sorted(unreached, key=lambda one: one.line_id)),
        *(ReserveRow("missing", f"{gap} never came", gap.after.day, None, -fen) for gap, fen in missing),
        ReserveRow("rest", "explained by nothing above: 0, or look at the beginning", None, None, rest_fen),
        ReserveRow("books", RESERVE, business_date, 0, books_fen),
    ]
    return Reserve(business_date, newest, custodian_fen, books_fen, rest_fen, tuple(rows))


def _cover(conn: Connection, business_date: date, newest: Kept | None) -> Iterator[ReserveRow]:
    """What is owed to whom, what others owe, and what is left of the custodian's balance after all that is owed."""
    found: Counter[str] = Counter()
    for balance in trial_balance_at(conn, business_date):
        found[balance.code] += balance.net_fen
    owed_fen = 0
    for part, codes in (("customers", CUSTOMERS), ("participants", PARTICIPANTS)):
        for code in codes:
            owed_fen += found[code]
            yield ReserveRow(part, code, None, None, found[code])
    yield ReserveRow("owed", "customers and participants together", None, None, owed_fen)
    for code, net_fen in sorted(found.items()):
        if code not in (*CUSTOMERS, *PARTICIPANTS, RESERVE) and net_fen:
            yield ReserveRow("others", code, None, None, net_fen)
    if newest is not None:
        cover_fen = newest.closing_fen + owed_fen
        yield ReserveRow("cover", "custodian's balance less what is owed", newest.day, None, cover_fen)


def _bridge(business_date: date, moved: list[Movement], books_fen: int) -> Iterator[ReserveRow]:
    """From the books' balance the day before to that of the date, by what moved it."""
    today = [one for one in moved if one.business_date == business_date]
    yield ReserveRow("bridge", "the day before", business_date - timedelta(days=1), None,
                     books_fen - sum(one.amount_fen for one in today))  # fmt: skip
    by_kind: Counter[str] = Counter()
    for one in today:
        by_kind[one.kind] += one.amount_fen
    for kind, amount_fen in sorted(by_kind.items()):
        yield ReserveRow("bridge", kind, business_date, None, amount_fen)


def _movements(conn: Connection, business_date: date, archive: Archive | None) -> Iterator[Movement]:
    """What moved the reserve through a date, newest first, as far back as it is listed."""
    before: int | None = None
    since = business_date - timedelta(days=LISTED_DAYS)
    while page := history(conn, RESERVE, limit=_PAGE, before=before, archive=archive):
        for one in page:
            # A night books onto its closing day while the next day moves on: dates may be in turn.
            if one.business_date < since - timedelta(days=2):
                return
            if since <= one.business_date <= business_date:
                yield one
        before = page[-1].line_id


def _unreached(conn: Connection, moved: list[Movement], business_date: date) -> list[Movement]:
    """Movements that no statement read by a business date has spoken of."""
    names = [one.reference for one in moved if one.kind not in _OF_STATEMENTS]
    query = (
        select(bank_line.c.entry)
        .join(bank_statement, bank_statement.c.number == bank_line.c.statement)
        .where(
            bank_statement.c.booked_on <= business_date, one_of(conn, bank_line.c.entry, sorted(set(names)))
        )
    )
    spoken = set(conn.scalars(query))
    return [one for one in moved if one.kind not in _OF_STATEMENTS and one.reference not in spoken]


def _statement(newest: Kept | None, business_date: date, custodian_fen: int) -> Iterator[ReserveRow]:
    if newest is None:
        yield ReserveRow("statement", "no statement was read yet", None, None, 0)
    else:
        age_days = max(0, (business_date - newest.day).days)
        what = f"custodian's balance, statement {newest.statement_id}"
        yield ReserveRow("statement", what, newest.day, age_days, custodian_fen)


def _unreached_row(one: Movement, business_date: date) -> ReserveRow:
    age_days = (business_date - one.business_date).days
    return ReserveRow("unreached", f"{one.kind} {one.reference}", one.business_date, age_days, one.amount_fen)
