"""Closing snapshots: the totals of an account at the end of each business date on which it moved."""

from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    insert,
    literal,
    select,
    union_all,
)

from ledger import tables

BELONGS = and_(
    tables.line.c.id >= tables.entry.c.first_line_id,
    tables.line.c.id < tables.entry.c.first_line_id + tables.entry.c.line_count,
)
"""Which lines are an entry's: neighbours, so that a range of the primary key finds them."""


def take_snapshots(conn: Connection, business_date: date) -> None:
    """Keep the totals, up to and including this date, of the accounts that moved on it. Once a date."""
    moved = movements(tables.entry.c.business_date == business_date).subquery()
    earlier = tables.snapshot.alias()
    newest = (
        select(func.max(earlier.c.business_date))
        .where(earlier.c.account_id == moved.c.account_id, earlier.c.business_date < business_date)
        .scalar_subquery()
    )
    before = tables.snapshot.alias()
    with_before = and_(before.c.account_id == moved.c.account_id, before.c.business_date == newest)
    totals = select(
        moved.c.account_id,
        literal(business_date, tables.snapshot.c.business_date.type),
        moved.c.debits_fen + func.coalesce(before.c.debits_posted_fen, 0),
        moved.c.credits_fen + func.coalesce(before.c.credits_posted_fen, 0),
    ).select_from(moved.outerjoin(before, with_before))
    names = [column.name for column in tables.snapshot.columns]
    conn.execute(insert(tables.snapshot).from_select(names, totals))


def movements(
    *where: ColumnElement[bool], by: tuple[ColumnElement[Any], ...] = ()
) -> Select[*tuple[Any, ...]]:
    """Sum the debits and the credits of each account, over the entries asked for, and for each `by`."""
    line = tables.line.c
    source = tables.entry.join(tables.line, BELONGS)
    zero = literal(0, BigInteger)
    debits = select(
        line.debit_id.label("account_id"), line.amount_fen.label("debit"), zero.label("credit"), *by
    )
    credits = select(line.credit_id, zero, line.amount_fen, *by)
    sides = union_all(
        debits.select_from(source).where(*where), credits.select_from(source).where(*where)
    ).subquery()
    groups = [sides.c[column.name] for column in by]
    return select(
        sides.c.account_id,
        total_fen(sides.c.debit).label("debits_fen"),
        total_fen(sides.c.credit).label("credits_fen"),
        *groups,
    ).group_by(sides.c.account_id, *groups)


def total_fen(amount: ColumnElement[int]) -> ColumnElement[int]:
    """The sum of a column of fen in 64 bits, which PostgreSQL would widen to a decimal; of nothing, 0."""
    return func.coalesce(func.sum(amount), 0).cast(BigInteger)
