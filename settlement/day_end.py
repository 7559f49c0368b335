"""Where accounts stood at the end of a business date, in sets, while the next day already moves them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, FromClause, Select, select

from ledger.accounts import Kind
from ledger.balances import Balance, accounts_on, totals
from ledger.chart import STANDING
from ledger.ids import NONE, numbers_of
from ledger.line_sums import sums_by_kind
from ledger.snapshots import BELONGS
from ledger.tables import entry, line


def balances_at(conn: Connection, business_date: date, segments: Sequence[str]) -> list[Balance]:
    """Balances at the end of that date of the accounts under these first code segments, by code."""
    at = accounts_on(business_date)
    query = select(at.c.code, at.c.kind, at.c.debits_fen, at.c.credits_fen).where(at.c.segment.in_(segments))
    return _balances(conn, query.order_by(at.c.code))


def trial_balance_at(conn: Connection, business_date: date) -> list[Balance]:
    """The trial balance at the end of that date: standing accounts each, any other sub-ledger in a row.

    What never moved until then is left out, so that accounts opened later do not show.
    """
    return [one for one in totals(conn, business_date) if one.debits_fen or one.credits_fen]


NETTED: Final = ("clearing", "city")
"""Segments whose accounts are netted: what participants are owed, and positions with other cities' centres."""


def owed_at(conn: Connection, business_date: date) -> dict[str, int]:
    """What every participant was owed at the end of that date, in fen by its id; negative where it owes.

    An operator's stands on `clearing:`, another city's centre's on `city:`.
    """
    return {one.code.partition(":")[2]: -one.net_fen for one in balances_at(conn, business_date, NETTED)}


def taken_for_clearing(conn: Connection, after: date | None, until: date) -> Mapping[str, int]:
    """What moved into accounts that are netted, in fen by the other side's segment; netting left out.

    Covers business dates after `after` (all, for None) through `until`; what was taken back counts negative.
    """
    start = NONE if after is None else numbers_of(after)[1]
    taken: dict[str, int] = {}
    moved = sums_by_kind(conn, start, numbers_of(until)[1])
    for (kind, debited, credited), fen in moved.items():
        if kind == "net" or (debited in NETTED) == (credited in NETTED):
            continue
        segment, amount_fen = (debited, fen) if credited in NETTED else (credited, -fen)
        taken[segment] = taken.get(segment, 0) + amount_fen
    return taken


def movements_on(conn: Connection, business_date: date) -> Mapping[tuple[str, str, str], int]:
    """What moved on that date, in fen by (entry kind, debited row, credited row) of the trial balance."""
    return sums_by_kind(conn, *numbers_of(business_date), apart=STANDING)


def entry_lines() -> FromClause:
    """Entries with their lines; the lines of one are neighbours, as lines have no index by entry."""
    return entry.join(line, BELONGS)


def _balances(conn: Connection, query: Select[Any]) -> list[Balance]:
    return [Balance(code, Kind(kind), debits, credits) for code, kind, debits, credits in conn.execute(query)]
