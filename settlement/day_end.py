"""Where accounts stood at the end of a business date, in sets, while the next day already moves them."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import CTE, Connection, FromClause, Select, and_, case, func, select
from sqlalchemy.sql.elements import ColumnElement

from ledger.accounts import Kind
from ledger.balances import Balance
from ledger.chart import STANDING
from ledger.snapshots import movements, total_fen
from ledger.tables import account, entry, line


def accounts_at(business_date: date) -> CTE:
    """Every account's totals at the end of that date: id, code, segment, kind, debits_fen, credits_fen.

    Made from the running totals less what later dates have moved, so its cost is that of the accounts
    asked for and of the lines since.
    """
    moved = movements(entry.c.business_date > business_date).cte("later_moves")
    return (
        select(
            account.c.id,
            account.c.code,
            account.c.segment,
            account.c.kind,
            (account.c.debits_posted_fen - func.coalesce(moved.c.debits_fen, 0)).label("debits_fen"),
            (account.c.credits_posted_fen - func.coalesce(moved.c.credits_fen, 0)).label("credits_fen"),
        )
        .select_from(account.outerjoin(moved, moved.c.account_id == account.c.id))
        .cte("accounts_at")
    )


def balances_at(conn: Connection, business_date: date, segments: Sequence[str]) -> list[Balance]:
    """Balances at the end of that date of the accounts under these first code segments, by code."""
    at = accounts_at(business_date)
    query = select(at.c.code, at.c.kind, at.c.debits_fen, at.c.credits_fen).where(at.c.segment.in_(segments))
    return _balances(conn, query.order_by(at.c.code))


def trial_balance_at(conn: Connection, business_date: date) -> list[Balance]:
    """The trial balance at the end of that date: standing accounts each, any other sub-ledger in a row.

    What never moved until then is left out, so that accounts opened later do not show.
    """
    at = accounts_at(business_date)
    row = _row(at.c.segment, at.c.code).label("row")
    debits, credits = total_fen(at.c.debits_fen), total_fen(at.c.credits_fen)
    query = select(row, at.c.kind, debits, credits).group_by(row, at.c.kind).having(debits + credits > 0)
    return _balances(conn, query.order_by(row, at.c.kind))


def taken_for_clearing(conn: Connection, after: date | None, until: date) -> Mapping[str, int]:
    """What moved into `clearing:` accounts, in fen by the other side's segment; netting left out.

    Covers business dates after `after` (all, for None) through `until`; what was taken back counts negative.
    """
    debit, credit = account.alias("debit"), account.alias("credit")
    source = (
        entry_lines().join(debit, debit.c.id == line.c.debit_id).join(credit, credit.c.id == line.c.credit_id)
    )
    span = [entry.c.business_date <= until, entry.c.kind != "net"]
    if after is not None:
        span.append(entry.c.business_date > after)
    taken: dict[str, int] = {}
    for ours, theirs, sign in ((credit, debit, 1), (debit, credit, -1)):
        query = (
            select(theirs.c.segment, total_fen(line.c.amount_fen))
            .select_from(source)
            .where(*span, ours.c.segment == "clearing", theirs.c.segment != "clearing")
            .group_by(theirs.c.segment)
        )
        for segment, amount_fen in conn.execute(query):
            taken[segment] = taken.get(segment, 0) + sign * amount_fen
    return taken


def movements_on(conn: Connection, business_date: date) -> Mapping[tuple[str, str, str], int]:
    """What moved on that date, in fen by (entry kind, debited row, credited row) of the trial balance."""
    debit, credit = account.alias("debit"), account.alias("credit")
    keys = (
        entry.c.kind,
        _row(debit.c.segment, debit.c.code).label("debited"),
        _row(credit.c.segment, credit.c.code).label("credited"),
    )
    query = (
        select(*keys, total_fen(line.c.amount_fen))
        .select_from(
            entry_lines()
            .join(debit, debit.c.id == line.c.debit_id)
            .join(credit, credit.c.id == line.c.credit_id)
        )
        .where(entry.c.business_date == business_date)
        .group_by(*keys)
        .order_by(*keys)
    )
    return {(kind, debited, credited): fen for kind, debited, credited, fen in conn.execute(query)}


def entry_lines() -> FromClause:
    """Entries with their lines; the lines of one are neighbours, as lines have no index by entry."""
    first = entry.c.first_line_id
    return entry.join(line, and_(line.c.id >= first, line.c.id < first + entry.c.line_count))


def _row(segment: ColumnElement[str], code: ColumnElement[str]) -> ColumnElement[str]:
    return case((segment.in_(STANDING), code), else_=segment)


def _balances(conn: Connection, query: Select[Any]) -> list[Balance]:
    return [Balance(code, Kind(kind), debits, credits) for code, kind, debits, credits in conn.execute(query)]
