"""Checks of the books: each recomputes something that must hold, and reports; none repairs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    String,
    and_,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
    union_all,
)

from ledger import tables
from ledger.day import DayState
from ledger.entry import canonical_bytes, digest
from ledger.journal import of_day, read_entries
from ledger.merkle import root_of
from ledger.seal import GENESIS, day_root, seals
from ledger.snapshots import BELONGS, movements, total_fen


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the books that is not as it must be; amounts in fen, or counts where it says so."""

    check: str
    subject: str
    expected_fen: int
    found_fen: int
    message: str


Check = Callable[[Connection], list[Finding]]


def check_books(conn: Connection) -> list[Finding]:
    """Everything that is wrong with the books; nothing in good books. `conn` may be one that only reads."""
    return [finding for check in CHECKS for finding in check(conn)]


def accounts_sum_to_zero(conn: Connection) -> list[Finding]:
    """Over all accounts, debits equal credits."""
    columns = tables.account.c
    debits_fen, credits_fen = conn.execute(
        select(total_fen(columns.debits_posted_fen), total_fen(columns.credits_posted_fen))
    ).one()
    if debits_fen == credits_fen:
        return []
    message = "the debits of all accounts do not equal their credits; compare the accounts with their lines"
    return [Finding("accounts_sum_to_zero", "all accounts", debits_fen, credits_fen, message)]


def totals_equal_lines(conn: Connection) -> list[Finding]:
    """Each account's running totals are the sums over its lines."""
    account = tables.account.c
    moved = movements().subquery()
    rows = select(
        account.code,
        func.coalesce(moved.c.debits_fen, 0),
        account.debits_posted_fen,
        func.coalesce(moved.c.credits_fen, 0),
        account.credits_posted_fen,
    ).select_from(tables.account.outerjoin(moved, moved.c.account_id == account.id))
    return _both_sides("totals_equal_lines", rows, conn, "lines", "the running total")


def controls_equal_accounts(conn: Connection) -> list[Finding]:
    """The accounts of each sub-ledger sum to its control totals, which are kept apart from them."""
    account, control = tables.account.c, tables.control.c
    zero = literal(0, BigInteger)
    sides = union_all(
        select(
            account.segment,
            account.debits_posted_fen.label("debits"),
            account.credits_posted_fen.label("credits"),
            zero.label("control_debits"),
            zero.label("control_credits"),
        ),
        select(control.segment, zero, zero, control.debits_posted_fen, control.credits_posted_fen),
    ).subquery()
    rows = select(
        sides.c.segment,
        total_fen(sides.c.control_debits),
        total_fen(sides.c.debits),
        total_fen(sides.c.control_credits),
        total_fen(sides.c.credits),
    ).group_by(sides.c.segment)
    return _both_sides("controls_equal_accounts", rows, conn, "the control total", "the sum of its accounts")


def limits_hold(conn: Connection) -> list[Finding]:
    """No account has a balance on the side that its limit forbids."""
    columns = tables.account.c
    overdrawn = columns.debits_posted_fen + columns.debits_held_fen - columns.credits_posted_fen
    overfilled = columns.credits_posted_fen + columns.credits_held_fen - columns.debits_posted_fen
    found = []
    for limit, past in (("no_debit_balance", overdrawn), ("no_credit_balance", overfilled)):
        query = select(columns.code, past).where(columns.limit_rule == limit, past > 0).order_by(columns.code)
        for code, past_fen in conn.execute(query):
            message = f"account {code} is past its limit {limit} by {past_fen} fen; look at its history"
            found.append(Finding("limits_hold", code, 0, past_fen, message))
    return found


def entries_are_whole(conn: Connection) -> list[Finding]:
    """Every entry has exactly its lines, every line is of an entry, and both are numbered without gaps."""
    line, entry = tables.line.c, tables.entry.c
    counted = func.count(line.id)
    query = (
        select(entry.id, entry.reference, entry.line_count, counted)
        .select_from(tables.entry.outerjoin(tables.line, and_(BELONGS, line.entry_id == entry.id)))
        .group_by(entry.id, entry.reference, entry.line_count)
        .having(counted != entry.line_count)
        .order_by(entry.id)
    )
    found = [
        Finding(
            "entries_are_whole",
            reference,
            expected,
            lines,
            f"entry {reference!r} should have {expected} lines and has {lines}; restore them from a backup",
        )
        for _, reference, expected, lines in conn.execute(query)
    ]
    stray = select(func.count()).select_from(tables.line.outerjoin(tables.entry, entry.id == line.entry_id))
    lines = conn.execute(stray.where(or_(entry.id.is_(None), not_(BELONGS)))).scalar_one()
    if lines:
        message = f"{lines} lines are of no entry; find out who wrote past the ledger"
        found.append(Finding("entries_are_whole", "lines", 0, lines, message))
    for name, table in (("entries", tables.entry), ("lines", tables.line)):
        last, count = conn.execute(
            select(func.coalesce(func.max(table.c.id), 0), func.count(table.c.id))
        ).one()
        if last != count:
            message = f"{name} are numbered up to {last} and there are {count}; restore the missing ones"
            found.append(Finding("entries_are_whole", name, last, count, message))
    return found


def snapshots_agree(conn: Connection) -> list[Finding]:
    """The snapshots of closed days are the sums over all lines up to them."""
    entry, snapshot, account, day = tables.entry.c, tables.snapshot.c, tables.account.c, tables.day.c
    closed = select(day.business_date).where(day.state == DayState.CLOSED.value)
    moved = movements(entry.business_date.in_(closed), by=(entry.business_date,)).subquery()
    window: dict[str, Any] = {"partition_by": moved.c.account_id, "order_by": moved.c.business_date}
    expected = select(
        moved.c.account_id,
        moved.c.business_date,
        func.sum(moved.c.debits_fen).over(**window).cast(BigInteger).label("debits"),
        func.sum(moved.c.credits_fen).over(**window).cast(BigInteger).label("credits"),
        literal(0, BigInteger).label("kept_debits"),
        literal(0, BigInteger).label("kept_credits"),
    )
    zero = literal(0, BigInteger)
    kept = select(
        snapshot.account_id,
        snapshot.business_date,
        zero,
        zero,
        snapshot.debits_posted_fen,
        snapshot.credits_posted_fen,
    )
    sides = union_all(expected, kept).subquery()
    rows = (
        select(
            account.code + " on " + cast(sides.c.business_date, String),
            total_fen(sides.c.debits),
            total_fen(sides.c.kept_debits),
            total_fen(sides.c.credits),
            total_fen(sides.c.kept_credits),
        )
        .join(tables.account, account.id == sides.c.account_id)
        .group_by(account.code, sides.c.business_date)
    )
    return _both_sides("snapshots_agree", rows, conn, "lines", "the snapshot")


def entries_equal_digests(conn: Connection) -> list[Finding]:
    """Each entry of a day without a seal still is what it was booked as; the seals vouch for the others."""
    sealed = select(tables.seal.c.business_date)
    found = []
    for recorded in read_entries(conn, tables.entry.c.business_date.not_in(sealed)):
        if digest(canonical_bytes(recorded.entry)) != recorded.digest:
            reference = recorded.entry.reference
            message = f"entry {reference!r} was changed after it was booked; restore it from a backup"
            found.append(Finding("entries_equal_digests", reference, 0, 0, message))
    return found


def seals_agree(conn: Connection) -> list[Finding]:
    """Each seal is the root of its day's entries as they are now, and covers the seal before."""
    found = []
    previous = GENESIS
    for seal in seals(conn):
        leaves = []
        subject = str(seal.business_date)
        for recorded in read_entries(conn, of_day(seal.business_date)):
            leaves.append(digest(canonical_bytes(recorded.entry)))
            if leaves[-1] != recorded.digest:
                reference = recorded.entry.reference
                message = (
                    f"entry {reference!r} was changed after {subject} was sealed; restore it from a backup"
                )
                found.append(Finding("seals_agree", reference, 0, 0, message))
        root = day_root(seal.business_date, len(leaves), root_of(leaves), previous)
        if root != seal.root or previous != seal.previous_root:
            message = f"the books of {subject} are not what was sealed; restore them from a backup"
            found.append(Finding("seals_agree", subject, seal.entries, len(leaves), message))
        previous = seal.root
    return found


CHECKS: tuple[Check, ...] = (
    accounts_sum_to_zero,
    totals_equal_lines,
    controls_equal_accounts,
    limits_hold,
    entries_are_whole,
    snapshots_agree,
    entries_equal_digests,
    seals_agree,
)


def _both_sides(
    check: str, rows: Select[*tuple[Any, ...]], conn: Connection, expected: str, found: str
) -> list[Finding]:
    """Compare the sides of each row: subject, debits expected and found, credits expected and found."""
    sides = rows.subquery()
    subject, debits, debits_found, credits, credits_found = sides.c
    differing = select(sides).where(or_(debits != debits_found, credits != credits_found)).order_by(subject)
    return list(_findings(check, conn.execute(differing), expected, found))


def _findings(
    check: str, rows: Iterable[Row[*tuple[Any, ...]]], expected: str, found: str
) -> Iterator[Finding]:
    for subject, *amounts in rows:
        for side, expected_fen, found_fen in (("debits", *amounts[:2]), ("credits", *amounts[2:])):
            if expected_fen != found_fen:
                message = f"{subject}: {side} by {expected} {expected_fen} fen, by {found} {found_fen} fen"
                yield Finding(check, subject, expected_fen, found_fen, message)
