"""Checks of accounts: their totals against their lines, their limits, their holds, and their sub-ledgers."""

from datetime import date
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Subquery,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.expression import ColumnCollection

from ledger import tables
from ledger.findings import KEPT, Finding, Rows, differing, findings_of
from ledger.snapshots import date_number, day_number, lines_since, movements, total_fen


def accounts_sum_to_zero(conn: Connection, _since: date | None) -> list[Finding]:
    """Over all accounts, debits equal credits."""
    debits_fen, credits_fen = conn.execute(_both_sums()).one()
    if debits_fen == credits_fen:
        return []
    message = "the debits of all accounts do not equal their credits; compare the accounts with their lines"
    return [Finding("accounts_sum_to_zero", "all accounts", debits_fen, credits_fen, message)]


def totals_agree_with_lines(conn: Connection, since: date | None) -> list[Finding]:
    """Each account's totals are its last snapshot and its lines after it; so is where they stood on its newest date.

    The first is found as `totals_equal_lines`, the other, and that date, as `totals_tell_the_day_before`.
    """
    rows = conn.execute(_disagreeing(conn.dialect.name, since)).all()
    found = list(
        findings_of("totals_equal_lines", [row[:5] for row in rows if row[11]], "lines", "the running total")
    )
    check = "totals_tell_the_day_before"
    before = [(row.code, *row[5:9]) for row in rows if row[12]]
    found += findings_of(check, before, "lines", "the totals before its newest date")
    for row in rows:
        if row[13]:
            message = (
                f"account {row.code} moved on {row.of_lines} by its lines,"
                f" on {row.moved_on} by its totals (0 is never)"
            )
            found.append(Finding(check, row.code, row.of_lines, row.moved_on, message))
    return found


@cache
def _both_sums() -> Rows:
    columns = tables.total.c
    return select(total_fen(columns.debits_posted_fen), total_fen(columns.credits_posted_fen))


@lru_cache(KEPT)
def _disagreeing(dialect: str, since: date | None) -> Rows:
    """Accounts whose totals are not what their lines say: eleven sides, and which of three things differs."""
    sides = _totals_and_lines(dialect, since)
    totals_differ = or_(sides.debits != sides.debits_posted_fen, sides.credits != sides.credits_posted_fen)
    amounts_differ = and_(
        sides.told,
        or_(
            sides.debits_before != sides.debits_before_fen,
            sides.credits_before != sides.credits_before_fen,
        ),
    )
    dates_differ = and_(sides.dated, sides.of_lines != sides.moved_on)
    return (
        select(*list(sides)[:11], totals_differ, amounts_differ, dates_differ)
        .where(or_(totals_differ, amounts_differ, dates_differ))
        .order_by(sides.code)
    )


def _totals_and_lines(dialect: str, since: date | None) -> ColumnCollection[str, Any]:
    """By account what its lines say, and what its totals do: each line is read once for all of it."""
    total = tables.total.c
    moved, kept = _moved(since), _kept(since)
    debits, credits = kept.c.debits_fen, kept.c.credits_fen
    # What moved before only is not told by the lines since.
    told = true() if since is None else moved.c.day.is_not(None)
    recent = true() if since is None else total.moved_on >= since
    return (
        select(
            kept.c.code,
            (debits + func.coalesce(moved.c.debits_fen, 0)).label("debits"),
            total.debits_posted_fen,
            (credits + func.coalesce(moved.c.credits_fen, 0)).label("credits"),
            total.credits_posted_fen,
            (debits + func.coalesce(moved.c.earlier_debits_fen, 0)).label("debits_before"),
            total.debits_before_fen,
            (credits + func.coalesce(moved.c.earlier_credits_fen, 0)).label("credits_before"),
            total.credits_before_fen,
            func.coalesce(moved.c.day, 0).label("of_lines"),
            func.coalesce(date_number(dialect, total.moved_on), 0).label("moved_on"),
            told.label("told"),
            or_(moved.c.day.is_not(None), recent).label("dated"),
        )
        .join(tables.total, total.account_id == kept.c.id)
        .outerjoin(moved, moved.c.account_id == kept.c.id)
        .cte()
        .prefix_with("MATERIALIZED")
        .c
    )


def _moved(since: date | None) -> Subquery:
    """Of each account that moved: what lines added, what those before its newest day did, and that day."""
    day = day_number(tables.line.c.id).label("day")
    moved = movements(true() if since is None else lines_since(since), by=(day,)).subquery().c
    newest = func.max(moved.day).over(partition_by=moved.account_id)
    dated = select(moved.account_id, moved.day, moved.debits_fen, moved.credits_fen, newest.label("newest"))
    by_day = dated.subquery().c
    amounts = (by_day.debits_fen, by_day.credits_fen)
    earlier = [
        total_fen(case((by_day.day < by_day.newest, column), else_=0)).label(f"earlier_{column.name}")
        for column in amounts
    ]
    return (
        select(
            by_day.account_id,
            *(total_fen(column).label(column.name) for column in amounts),
            *earlier,
            func.max(by_day.newest).label("day"),
        )
        .group_by(by_day.account_id)
        .subquery()
    )


def _kept(since: date | None) -> CTE:
    """Each account with its debits and credits in its newest snapshot before a date; 0 where there is none."""
    account, snapshot = tables.account.c, tables.snapshot.c
    zero = literal(0, BigInteger)

    def newest(column: ColumnElement[int]) -> ColumnElement[int]:
        query = (
            select(column)
            .where(snapshot.account_id == account.id, snapshot.business_date < since)
            .order_by(snapshot.business_date.desc())
            .limit(1)
            .correlate(tables.account)
        )
        return func.coalesce(query.scalar_subquery(), 0)

    amounts = (snapshot.debits_posted_fen, snapshot.credits_posted_fen)
    debits, credits = (zero if since is None else newest(column) for column in amounts)
    query = select(account.id, account.code, debits.label("debits_fen"), credits.label("credits_fen"))
    # Kept as it is, or each amount would be looked up wherever it is used.
    return query.cte("kept").prefix_with("MATERIALIZED")


def controls_equal_accounts(conn: Connection, _since: date | None) -> list[Finding]:
    """The accounts of each sub-ledger sum to its control totals, which are kept apart from them."""
    found = conn.execute(_off_control())
    return list(findings_of("controls_equal_accounts", found, "the control total", "the sum of its accounts"))


@cache
def _off_control() -> Rows:
    account, total, control = tables.account.c, tables.total.c, tables.control.c
    zero = literal(0, BigInteger)
    sides = union_all(
        select(
            account.segment,
            total.debits_posted_fen.label("debits"),
            total.credits_posted_fen.label("credits"),
            zero.label("control_debits"),
            zero.label("control_credits"),
        ).join(tables.total, total.account_id == account.id),
        select(control.segment, zero, zero, control.debits_posted_fen, control.credits_posted_fen),
    ).subquery()
    return differing(
        select(
            sides.c.segment,
            total_fen(sides.c.control_debits),
            total_fen(sides.c.debits),
            total_fen(sides.c.control_credits),
            total_fen(sides.c.credits),
        ).group_by(sides.c.segment)
    )


def limits_hold(conn: Connection, _since: date | None) -> list[Finding]:
    """No account has a balance on the side that its limit forbids."""
    found = []
    for limit, past in _past_limits():
        for code, past_fen in conn.execute(past):
            message = f"account {code} is past its limit {limit} by {past_fen} fen; look at its history"
            found.append(Finding("limits_hold", code, 0, past_fen, message))
    return found


@cache
def _past_limits() -> list[tuple[str, Rows]]:
    """By limit, the accounts past it, and by how much."""
    account, total = tables.account.c, tables.total.c
    overdrawn = total.debits_posted_fen + total.debits_held_fen - total.credits_posted_fen
    overfilled = total.credits_posted_fen + total.credits_held_fen - total.debits_posted_fen
    found = []
    for limit, past in (("no_debit_balance", overdrawn), ("no_credit_balance", overfilled)):
        query = select(account.code, past).join(tables.total, total.account_id == account.id)
        query = query.where(account.limit_rule == limit, past > 0).order_by(account.code)
        found.append((limit, query))
    return found


def held_is_what_holds_say(conn: Connection, _since: date | None) -> list[Finding]:
    """What is held on each account is what its open holds set aside."""
    found = conn.execute(_off_holds())
    return list(findings_of("held_is_what_holds_say", found, "open holds", "what is held on it"))


@cache
def _off_holds() -> Rows:
    account, total, line = tables.account.c, tables.total.c, tables.hold_line.c
    zero = literal(0, BigInteger)
    still_open = line.hold_id.in_(select(tables.open_hold.c.hold_id))
    sides = union_all(
        select(line.debit_id.label("id"), line.amount_fen.label("debits"), zero.label("credits")).where(
            still_open
        ),
        select(line.credit_id, zero, line.amount_fen).where(still_open),
    ).subquery()
    held = (
        select(
            sides.c.id, total_fen(sides.c.debits).label("debits"), total_fen(sides.c.credits).label("credits")
        )
        .group_by(sides.c.id)
        .subquery()
    )
    return differing(
        select(
            account.code,
            func.coalesce(held.c.debits, 0),
            total.debits_held_fen,
            func.coalesce(held.c.credits, 0),
            total.credits_held_fen,
        )
        .join(tables.total, total.account_id == account.id)
        .outerjoin(held, held.c.id == account.id)
    )
