"""Checks of accounts: their totals against their lines, their limits, their holds, and their sub-ledgers."""

from datetime import date
from functools import cache

from sqlalchemy import (
    BigInteger,
    Connection,
    func,
    literal,
    select,
    union_all,
)

from ledger import tables
from ledger.accounts import codes_by_number
from ledger.findings import Finding, Rows, differing, findings_of
from ledger.snapshots import total_fen


def accounts_sum_to_zero(conn: Connection, _since: date | None) -> list[Finding]:
    """Over all accounts, debits equal credits."""
    debits_fen, credits_fen = conn.execute(_both_sums()).one()
    if debits_fen == credits_fen:
        return []
    message = "the debits of all accounts do not equal their credits; compare the accounts with their lines"
    return [Finding("accounts_sum_to_zero", "all accounts", debits_fen, credits_fen, message)]


@cache
def _both_sums() -> Rows:
    columns = tables.total.c
    return select(total_fen(columns.debits_posted_fen), total_fen(columns.credits_posted_fen))


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
    # Named afterwards: nearly none is found, and PostgreSQL would look up, or sort by it, the name of every account.
    found = conn.execute(_off_holds()).all()
    codes = codes_by_number(conn, [number for number, *_ in found])
    named = sorted((codes[number], *sides) for number, *sides in found)
    return list(findings_of("held_is_what_holds_say", named, "open holds", "what is held on it"))


@cache
def _off_holds() -> Rows:
    total, line = tables.total.c, tables.hold_line.c
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
            total.account_id,
            func.coalesce(held.c.debits, 0),
            total.debits_held_fen,
            func.coalesce(held.c.credits, 0),
            total.credits_held_fen,
        ).outerjoin_from(tables.total, held, held.c.id == total.account_id)
    )
