"""Checks of the books: each recomputes something that must hold, and reports; none repairs.

`check_books` is what every night runs: all that can have changed since the last closed day, on top of that day's
snapshots. `ledger.verify` recomputes everything since the books were opened.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import cache, lru_cache, partial

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)

from ledger import tables
from ledger.account_checks import (
    accounts_sum_to_zero,
    controls_equal_accounts,
    held_is_what_holds_say,
    limits_hold,
)
from ledger.archive import Archive, lines_begin
from ledger.day import DayState
from ledger.entry import canonical_bytes, chain_start, chained, digest, utc_text
from ledger.findings import KEPT, Check, Finding, Rows
from ledger.ids import A_DAY, numbers_of
from ledger.journal import read_day
from ledger.journal_digests import Told, digests_told
from ledger.line_columns import AccountCodes
from ledger.snapshots import BELONGS, date_number, day_number, lines_since
from ledger.total_checks import totals_agree_with_lines


def check_books(conn: Connection) -> list[Finding]:
    """Everything that is wrong since the last closed day; nothing in good books. `conn` may only read."""
    since = _first_open(conn)
    return [finding for check in CHECKS for finding in check(conn, since)]


def nightly_checks() -> list[Callable[[Connection], list[Finding]]]:
    """What `check_books` does, each part by itself: they hold on snapshots of their own, too."""
    return [partial(_since_last_closed, check) for check in CHECKS]


def _since_last_closed(check: Check, conn: Connection) -> list[Finding]:
    return check(conn, _first_open(conn))


def _first_open(conn: Connection) -> date | None:
    found: date | None = conn.execute(_unfinished()).scalar_one()
    return found


@cache
def _unfinished() -> Rows:
    columns = tables.day.c
    return select(func.min(columns.business_date)).where(columns.state != DayState.CLOSED.value)


def entries_are_whole(conn: Connection, since: date | None) -> list[Finding]:
    """Every entry has exactly its lines, every line is of an entry, and both are numbered without gaps a day."""
    found = []
    for reference, expected, lines, first in conn.execute(_unwhole(since)):
        if first:
            what = f"are not those of {reference!r}, which they name" if reference else "are of no entry"
            message = f"{lines} lines from number {first} on {what}; find out who wrote past the ledger"
        else:
            message = f"entry {reference!r} should have {expected} lines and has {lines}; restore them from a backup"
        found.append(Finding("entries_are_whole", reference or f"line {first}", expected, lines, message))
    return [*found, *_gaps(conn, *_lately_misnumbered(conn.dialect.name, since))]


def gaps(conn: Connection, of_late: ColumnElement[bool]) -> Iterator[Finding]:
    """Where the numbers of entries, or those of their lines, do not follow one another, among some entries."""
    return _gaps(conn, *_misnumbered(conn.dialect.name, of_late))


def _gaps(conn: Connection, after_gaps: Rows, elsewhere: Rows) -> Iterator[Finding]:
    for reference, entry_id, business_date in conn.execute(after_gaps):
        message = (
            f"entries or lines before {reference!r} of {business_date} are gone; restore them from a backup"
        )
        yield Finding("entries_are_whole", reference, 0, entry_id, message)
    for reference, entry_id, business_date in conn.execute(elsewhere):
        message = f"entry {reference!r} has number {entry_id}, but is dated {business_date}; restore a backup"
        yield Finding("entries_are_whole", reference, 0, entry_id, message)


@lru_cache(KEPT)
def _unwhole(since: date | None) -> Rows:
    """Entries whose lines are not as many as they say: reference, how many they say, how many there are, and 0.

    After them lines that are not of the entry that they name: its reference, or nothing; 0, how many, and the first.
    """
    line, entry = tables.line.c, tables.entry.c
    stray = or_(entry.id.is_(None), not_(BELONGS))
    # Both of one look at the lines, of which a night has millions.
    named = (
        select(
            line.entry_id,
            func.count().filter(BELONGS).label("own"),
            func.count().filter(stray).label("stray"),
            func.min(line.id).filter(stray).label("first"),
        )
        .select_from(tables.line.outerjoin(tables.entry, entry.id == line.entry_id))
        .where(true() if since is None else lines_since(since))
        .group_by(line.entry_id)
        .cte("named")
    )
    zero, own = literal(0, BigInteger), func.coalesce(named.c.own, 0)
    found = union_all(
        select(
            entry.reference,
            entry.line_count,
            own.label("lines"),
            zero.label("first"),
            entry.id.label("place"),
        )
        .select_from(tables.entry.outerjoin(named, named.c.entry_id == entry.id))
        .where(_of_late(since), own != entry.line_count),
        select(func.coalesce(entry.reference, ""), zero, named.c.stray, named.c.first, named.c.first)
        .select_from(named.outerjoin(tables.entry, entry.id == named.c.entry_id))
        .where(named.c.stray > 0),
    ).subquery()
    reference, expected, lines, first, place = found.c
    return select(reference, expected, lines, first).order_by(first, place)


@lru_cache(KEPT)
def _lately_misnumbered(dialect: str, since: date | None) -> tuple[Rows, Rows]:
    return _misnumbered(dialect, _of_late(since))


def _misnumbered(dialect: str, of_late: ColumnElement[bool]) -> tuple[Rows, Rows]:
    """Among some entries those after a gap, and those that have a number of another day."""
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
    after_gaps = (
        select(following.c.reference, following.c.id, following.c.business_date)
        .where(
            or_(
                following.c.id != func.coalesce(following.c.before, start) + 1,
                following.c.first_line_id != func.coalesce(following.c.next_line, start + 1),
            )
        )
        .order_by(following.c.id)
    )
    elsewhere = select(entry.reference, entry.id, entry.business_date).order_by(entry.id)
    return after_gaps, elsewhere.where(
        of_late, day_number(entry.id) != date_number(dialect, entry.business_date)
    )


def _of_late(since: date | None) -> ColumnElement[bool]:
    return true() if since is None else tables.entry.c.id > numbers_of(since)[0]


def entries_equal_digests(conn: Connection, since: date | None) -> list[Finding]:
    """Each entry is what it was booked as, and its day's running hash goes through it."""
    dates = conn.scalars(_days_with_entries(conn.dialect.name, since)).all()
    return days_equal_digests(conn, dates)


@lru_cache(KEPT)
def _days_with_entries(dialect: str, since: date | None) -> Rows:
    """The business dates, in order, in whose numbers there is an entry."""
    day, entry = tables.day.c, tables.entry.c
    start = date_number(dialect, day.business_date) * literal(A_DAY, BigInteger)
    query = select(day.business_date).where(exists().where(entry.id > start, entry.id < start + A_DAY))
    return (query if since is None else query.where(day.business_date >= since)).order_by(day.business_date)


def days_equal_digests(
    conn: Connection, dates: Iterable[date], archive: Archive | None = None
) -> list[Finding]:
    """The same of some business dates, of which the lines may be in an archive. Raises ArchiveDamaged."""
    found, begin, codes = [], lines_begin(conn), AccountCodes(conn)
    for business_date in dates:
        if begin is None or business_date >= begin:
            told = digests_told(conn, business_date, codes)
        else:
            told = _told_by_archive(conn, business_date, archive)
        chain = chain_start(business_date)
        for recorded, content_digest in told:
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


def _told_by_archive(conn: Connection, business_date: date, archive: Archive | None) -> Iterator[Told]:
    for recorded in read_day(conn, business_date, archive):
        yield Told(recorded, digest(canonical_bytes(recorded.entry)))


CHECKS: tuple[Check, ...] = (
    entries_equal_digests,
    totals_agree_with_lines,
    accounts_sum_to_zero,
    controls_equal_accounts,
    limits_hold,
    held_is_what_holds_say,
    entries_are_whole,
)
"""The longest first, as the night asks two at a time."""
