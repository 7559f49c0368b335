"""Checks of the books: each recomputes something that must hold, and reports; none repairs.

`check_books` is what every night runs: all that can have changed since the last closed day, on top of that day's
snapshots. `ledger.verify` recomputes everything since the books were opened.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    case,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)

from ledger import tables
from ledger.archive import Archive, lines_begin
from ledger.day import DayState
from ledger.entry import canonical_bytes, chain_start, chained, digest, utc_text
from ledger.ids import A_DAY, numbers_of
from ledger.journal import read_day
from ledger.journal_digests import Told, digests_told
from ledger.snapshots import BELONGS, date_number, day_number, lines_since, movements, total_fen


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the books that is not as it must be; amounts in fen, or counts where it says so."""

    check: str
    subject: str
    expected_fen: int
    found_fen: int
    message: str


Check = Callable[[Connection, date | None], list[Finding]]
"""Looks at what came on a business date or later, on top of the snapshots before; None is the beginning."""


def check_books(conn: Connection) -> list[Finding]:
    """Everything that is wrong since the last closed day; nothing in good books. `conn` may only read."""
    columns = tables.day.c
    unfinished = select(func.min(columns.business_date)).where(columns.state != DayState.CLOSED.value)
    since = conn.execute(unfinished).scalar_one()
    return [finding for check in CHECKS for finding in check(conn, since)]


def accounts_sum_to_zero(conn: Connection, _since: date | None) -> list[Finding]:
    """Over all accounts, debits equal credits."""
    columns = tables.total.c
    debits_fen, credits_fen = conn.execute(
        select(total_fen(columns.debits_posted_fen), total_fen(columns.credits_posted_fen))
    ).one()
    if debits_fen == credits_fen:
        return []
    message = "the debits of all accounts do not equal their credits; compare the accounts with their lines"
    return [Finding("accounts_sum_to_zero", "all accounts", debits_fen, credits_fen, message)]


def totals_equal_lines(conn: Connection, since: date | None) -> list[Finding]:
    """Each account's running totals are its last snapshot and the sums over its lines after it."""
    account, total = tables.account.c, tables.total.c
    moved = movements(_lines(since)).subquery()
    debits, credits = _kept(since)
    rows = (
        select(
            account.code,
            debits + func.coalesce(moved.c.debits_fen, 0),
            total.debits_posted_fen,
            credits + func.coalesce(moved.c.credits_fen, 0),
            total.credits_posted_fen,
        )
        .join(tables.total, total.account_id == account.id)
        .outerjoin(moved, moved.c.account_id == account.id)
    )
    return both_sides("totals_equal_lines", rows, conn, "lines", "the running total")


def totals_tell_the_day_before(conn: Connection, since: date | None) -> list[Finding]:
    """What each account held when its newest date began is its last snapshot and the lines of earlier dates."""
    account, total = tables.account.c, tables.total.c
    earlier = _earlier_on_newest_day(since)
    debits, credits = _kept(since)
    # What moved before only is not told by the lines since.
    told = true() if since is None else earlier.c.day.is_not(None)
    recent = true() if since is None else total.moved_on >= since
    moved_on = func.coalesce(date_number(conn, total.moved_on), 0)
    of_lines = func.coalesce(earlier.c.day, 0)
    sides = (
        select(
            account.code,
            (debits + func.coalesce(earlier.c.debits_fen, 0)).label("debits"),
            total.debits_before_fen,
            (credits + func.coalesce(earlier.c.credits_fen, 0)).label("credits"),
            total.credits_before_fen,
            of_lines.label("of_lines"),
            moved_on.label("moved_on"),
            told.label("told"),
            or_(earlier.c.day.is_not(None), recent).label("dated"),
        )
        .join(tables.total, total.account_id == account.id)
        .outerjoin(earlier, earlier.c.account_id == account.id)
        .subquery()
        .c
    )
    amounts_differ = and_(
        sides.told,
        or_(sides.debits != sides.debits_before_fen, sides.credits != sides.credits_before_fen),
    )
    dates_differ = and_(sides.dated, sides.of_lines != sides.moved_on)
    # Both at once, as either reads every line.
    rows = conn.execute(
        select(*list(sides)[:7], amounts_differ, dates_differ)
        .where(or_(amounts_differ, dates_differ))
        .order_by(sides.code)
    ).all()
    check = "totals_tell_the_day_before"
    wrong = [row[:5] for row in rows if row[7]]
    found = list(_findings(check, wrong, "lines", "the totals before its newest date"))
    for code, *_, expected, moved, _, dated in rows:
        if dated:
            message = (
                f"account {code} moved on {expected} by its lines, on {moved} by its totals (0 is never)"
            )
            found.append(Finding(check, code, expected, moved, message))
    return found


def _earlier_on_newest_day(since: date | None) -> Subquery:
    """Of each account that moved: the newest day by its lines, and what lines of earlier days added."""
    day = day_number(tables.line.c.id).label("day")
    moved = movements(_lines(since), by=(day,)).subquery().c
    newest = func.max(moved.day).over(partition_by=moved.account_id)
    dated = select(moved.account_id, moved.day, moved.debits_fen, moved.credits_fen, newest.label("newest"))
    by_day = dated.subquery().c
    earlier = [
        total_fen(case((by_day.day < by_day.newest, column), else_=0)).label(column.name)
        for column in (by_day.debits_fen, by_day.credits_fen)
    ]
    return (
        select(by_day.account_id, *earlier, func.max(by_day.newest).label("day"))
        .group_by(by_day.account_id)
        .subquery()
    )


def controls_equal_accounts(conn: Connection, _since: date | None) -> list[Finding]:
    """The accounts of each sub-ledger sum to its control totals, which are kept apart from them."""
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
    rows = select(
        sides.c.segment,
        total_fen(sides.c.control_debits),
        total_fen(sides.c.debits),
        total_fen(sides.c.control_credits),
        total_fen(sides.c.credits),
    ).group_by(sides.c.segment)
    return both_sides("controls_equal_accounts", rows, conn, "the control total", "the sum of its accounts")


def limits_hold(conn: Connection, _since: date | None) -> list[Finding]:
    """No account has a balance on the side that its limit forbids."""
    account, total = tables.account.c, tables.total.c
    overdrawn = total.debits_posted_fen + total.debits_held_fen - total.credits_posted_fen
    overfilled = total.credits_posted_fen + total.credits_held_fen - total.debits_posted_fen
    found = []
    for limit, past in (("no_debit_balance", overdrawn), ("no_credit_balance", overfilled)):
        query = select(account.code, past).join(tables.total, total.account_id == account.id)
        query = query.where(account.limit_rule == limit, past > 0).order_by(account.code)
        for code, past_fen in conn.execute(query):
            message = f"account {code} is past its limit {limit} by {past_fen} fen; look at its history"
            found.append(Finding("limits_hold", code, 0, past_fen, message))
    return found


def held_is_what_holds_say(conn: Connection, _since: date | None) -> list[Finding]:
    """What is held on each account is what its open holds set aside."""
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
    rows = (
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
    return both_sides("held_is_what_holds_say", rows, conn, "open holds", "what is held on it")


def entries_are_whole(conn: Connection, since: date | None) -> list[Finding]:
    """Every entry has exactly its lines, every line is of an entry, and both are numbered without gaps a day."""
    line, entry = tables.line.c, tables.entry.c
    of_late = true() if since is None else entry.id > numbers_of(since)[0]
    counted = func.count(line.id)
    query = (
        select(entry.reference, entry.line_count, counted)
        .select_from(tables.entry.outerjoin(tables.line, and_(BELONGS, line.entry_id == entry.id)))
        .where(of_late)
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
        for reference, expected, lines in conn.execute(query)
    ]
    stray = (
        select(func.coalesce(entry.reference, ""), func.count(), func.min(line.id))
        .select_from(tables.line.outerjoin(tables.entry, entry.id == line.entry_id))
        .where(_lines(since), or_(entry.id.is_(None), not_(BELONGS)))
        .group_by(entry.reference)
        .order_by(func.min(line.id))
    )
    for reference, lines, first in conn.execute(stray):
        what = f"are not those of {reference!r}, which they name" if reference else "are of no entry"
        message = f"{lines} lines from number {first} on {what}; find out who wrote past the ledger"
        found.append(Finding("entries_are_whole", reference or f"line {first}", 0, lines, message))
    return [*found, *gaps(conn, of_late)]


def gaps(conn: Connection, of_late: ColumnElement[bool]) -> Iterator[Finding]:
    """Where the numbers of entries, or those of their lines, do not follow one another, among some entries."""
    entry = tables.entry.c
    following = (
        select(
            entry.id,
            entry.reference,
            entry.business_date,
            entry.first_line_id,
            func.lag(entry.id).over(partition_by=day_number(entry.id), order_by=entry.id).label("before"),
            func.lag(entry.first_line_id + entry.line_count)
            .over(partition_by=day_number(entry.id), order_by=entry.id)
            .label("next_line"),
        )
        .where(of_late)
        .subquery()
    )
    start = day_number(following.c.id) * literal(A_DAY, BigInteger)
    query = (
        select(following.c.reference, following.c.id, following.c.business_date)
        .where(
            or_(
                following.c.id != func.coalesce(following.c.before, start) + 1,
                following.c.first_line_id != func.coalesce(following.c.next_line, start + 1),
            )
        )
        .order_by(following.c.id)
    )
    for reference, entry_id, business_date in conn.execute(query):
        message = (
            f"entries or lines before {reference!r} of {business_date} are gone; restore them from a backup"
        )
        yield Finding("entries_are_whole", reference, 0, entry_id, message)
    elsewhere = select(entry.reference, entry.id, entry.business_date).order_by(entry.id)
    elsewhere = elsewhere.where(of_late, day_number(entry.id) != date_number(conn, entry.business_date))
    for reference, entry_id, business_date in conn.execute(elsewhere):
        message = f"entry {reference!r} has number {entry_id}, but is dated {business_date}; restore a backup"
        yield Finding("entries_are_whole", reference, 0, entry_id, message)


def entries_equal_digests(conn: Connection, since: date | None) -> list[Finding]:
    """Each entry is what it was booked as, and its day's running hash goes through it."""
    columns = tables.day.c
    query = select(columns.business_date).order_by(columns.business_date)
    dates = conn.scalars(query if since is None else query.where(columns.business_date >= since)).all()
    return days_equal_digests(conn, dates)


def days_equal_digests(
    conn: Connection, dates: Iterable[date], archive: Archive | None = None
) -> list[Finding]:
    """The same of some business dates, of which the lines may be in an archive. Raises ArchiveDamaged."""
    found = []
    for business_date in dates:
        chain = chain_start(business_date)
        for recorded, content_digest in _told(conn, business_date, archive):
            reference = recorded.entry.reference
            chain = chained(chain, recorded.entry_id, recorded.digest, utc_text(recorded.posted_at))
            if content_digest != recorded.digest:
                message = f"entry {reference!r} was changed after it was booked; restore it from a backup"
            elif chain != recorded.chain:
                message = (
                    f"the running hash of {business_date} breaks at entry {reference!r}; restore a backup"
                )
            else:
                continue
            found.append(Finding("entries_equal_digests", reference, 0, 0, message))
            chain = recorded.chain
    return found


def _told(conn: Connection, business_date: date, archive: Archive | None) -> Iterator[Told]:
    begin = lines_begin(conn)
    if begin is None or business_date >= begin:
        yield from digests_told(conn, business_date)
        return
    for recorded in read_day(conn, business_date, archive):
        yield Told(recorded, digest(canonical_bytes(recorded.entry)))


CHECKS: tuple[Check, ...] = (
    accounts_sum_to_zero,
    totals_equal_lines,
    totals_tell_the_day_before,
    controls_equal_accounts,
    limits_hold,
    held_is_what_holds_say,
    entries_are_whole,
    entries_equal_digests,
)


def _lines(since: date | None) -> ColumnElement[bool]:
    return true() if since is None else lines_since(since)


def _kept(since: date | None) -> tuple[ColumnElement[int], ColumnElement[int]]:
    """The debits and credits of an account in its newest snapshot before a date; 0 where there is none."""
    if since is None:
        return literal(0, BigInteger), literal(0, BigInteger)
    snapshot = tables.snapshot.c

    def newest(column: ColumnElement[int]) -> ColumnElement[int]:
        query = (
            select(column)
            .where(snapshot.account_id == tables.account.c.id, snapshot.business_date < since)
            .order_by(snapshot.business_date.desc())
            .limit(1)
            .correlate(tables.account)
        )
        return func.coalesce(query.scalar_subquery(), 0)

    return newest(snapshot.debits_posted_fen), newest(snapshot.credits_posted_fen)


def both_sides(
    check: str, rows: Select[*tuple[Any, ...]], conn: Connection, expected: str, found: str
) -> list[Finding]:
    """Compare the sides of each row: subject, debits expected and found, credits expected and found."""
    sides = rows.subquery()
    subject, debits, debits_found, credits, credits_found = sides.c
    differing = select(sides).where(or_(debits != debits_found, credits != credits_found)).order_by(subject)
    return list(_findings(check, conn.execute(differing), expected, found))


def _findings(check: str, rows: Iterable[Sequence[Any]], expected: str, found: str) -> Iterator[Finding]:
    for subject, *amounts in rows:
        for side, expected_fen, found_fen in (("debits", *amounts[:2]), ("credits", *amounts[2:])):
            if expected_fen != found_fen:
                message = f"{subject}: {side} by {expected} {expected_fen} fen, by {found} {found_fen} fen"
                yield Finding(check, subject, expected_fen, found_fen, message)
