"""Closing snapshots: the totals of an account at the end of each business date on which it moved."""

from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    String,
    and_,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    union_all,
)

from ledger import tables
from ledger.ids import A_DAY, numbers_of

BELONGS = and_(
    tables.line.c.id >= tables.entry.c.first_line_id,
    tables.line.c.id < tables.entry.c.first_line_id + tables.entry.c.line_count,
)
"""Which lines are an entry's: neighbours, so that a range of the primary key finds them."""


def take_snapshots(conn: Connection, business_date: date) -> None:
    """Keep the totals, up to and including this date, of the accounts that moved on it. Once a date.

    What an account holds when its day closes stands in its totals already; no line is read.
    """
    total, snapshot = tables.total.c, tables.snapshot.c
    moved_since = total.moved_on > business_date
    debits_fen = case((moved_since, total.debits_before_fen), else_=total.debits_posted_fen)
    credits_fen = case((moved_since, total.credits_before_fen), else_=total.credits_posted_fen)
    kept_fen = (
        select(snapshot.debits_posted_fen + snapshot.credits_posted_fen)
        .where(snapshot.account_id == total.account_id, snapshot.business_date <= business_date)
        .order_by(snapshot.business_date.desc())
        .limit(1)
        .correlate(tables.total)
        .scalar_subquery()
    )
    closing = select(
        total.account_id,
        literal(business_date, tables.snapshot.c.business_date.type),
        debits_fen,
        credits_fen,
    ).where(
        or_(
            total.moved_on == business_date,
            # Moved on the next day already: on this one too, if its totals grew since the last snapshot.
            and_(
                moved_since, total.debits_before_fen + total.credits_before_fen > func.coalesce(kept_fen, 0)
            ),
        )
    )
    names = [column.name for column in tables.snapshot.columns]
    conn.execute(insert(tables.snapshot).from_select(names, closing))


def latest_snapshot(business_date: date) -> Any:
    """The newest snapshot of each account that is of a date or earlier, as a subquery."""
    snapshot = tables.snapshot.c
    newest = (
        select(snapshot.account_id, func.max(snapshot.business_date).label("business_date"))
        .where(snapshot.business_date <= business_date)
        .group_by(snapshot.account_id)
        .subquery()
    )
    return (
        select(tables.snapshot)
        .join(
            newest,
            and_(
                newest.c.account_id == snapshot.account_id, newest.c.business_date == snapshot.business_date
            ),
        )
        .subquery()
    )


def movements(
    *where: ColumnElement[bool], by: tuple[ColumnElement[Any], ...] = ()
) -> Select[*tuple[Any, ...]]:
    """Sum the debits and the credits of each account over the lines that fulfil conditions, and for each `by`."""
    line = tables.line.c
    zero = literal(0, BigInteger)
    debits = select(
        line.debit_id.label("account_id"), line.amount_fen.label("debit"), zero.label("credit"), *by
    )
    credits = select(line.credit_id, zero, line.amount_fen, *by)
    sides = union_all(debits.where(*where), credits.where(*where)).subquery()
    groups = [sides.c[column.name] for column in by]
    return select(
        sides.c.account_id,
        total_fen(sides.c.debit).label("debits_fen"),
        total_fen(sides.c.credit).label("credits_fen"),
        *groups,
    ).group_by(sides.c.account_id, *groups)


def lines_on(business_date: date) -> ColumnElement[bool]:
    """The condition on lines that they are of one business date."""
    start, end = numbers_of(business_date)
    return and_(tables.line.c.id > start, tables.line.c.id < end)


def lines_since(business_date: date) -> ColumnElement[bool]:
    """The condition on lines that they are of a business date or a later one."""
    return tables.line.c.id > numbers_of(business_date)[0]


def day_number(number: ColumnElement[int]) -> ColumnElement[int]:
    """The business date of a line's or an entry's number, as the whole number YYYYMMDD."""
    return number // literal(A_DAY, BigInteger)


def date_number(dialect: str, business_date: ColumnElement[date]) -> ColumnElement[int]:
    """A column of dates as the whole numbers YYYYMMDD, in the words of a kind of database."""
    if dialect == "postgresql":
        return func.to_char(business_date, "YYYYMMDD").cast(BigInteger)
    return func.replace(business_date.cast(String), "-", "").cast(BigInteger)


def total_fen(amount: ColumnElement[int]) -> ColumnElement[int]:
    """The sum of a column of fen in 64 bits, which PostgreSQL would widen to a decimal; of nothing, 0."""
    return func.coalesce(func.sum(amount), 0).cast(BigInteger)
