"""The movements of one account, newest first: a walk from line to line along the primary key."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    DateTime,
    Interval,
    Select,
    Subquery,
    case,
    func,
    literal,
    or_,
    select,
)

from ledger import tables
from ledger.accounts import Kind
from ledger.archive import Archive, LinesArchived, lines_begin
from ledger.archived_line import ArchivedLine
from ledger.balances import find_account
from ledger.ids import A_DAY, NONE, date_of
from ledger.line_before import before_on


class NoLineOfIt(LookupError):
    """A history was to go on after a line that is not the account's."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One line seen from one account; `amount_fen` is positive where the balance grew."""

    line_id: int
    entry_id: int
    line_no: int
    business_date: date
    event_at: datetime
    kind: str
    reference: str
    item: str
    amount_fen: int
    counter_account: str


class _Walked(NamedTuple):
    """The account that is walked along."""

    account_id: int
    code: str
    kind: Kind


_ITS_NIGHT: Final = timedelta(days=2)
"""From the beginning of a business date until its night is over."""
_AHEAD: Final = 8
"""How many movements are read at a time where it is not known how many are wanted."""


def history(
    conn: Connection, code: str, *, limit: int = 50, before: int | None = None, archive: Archive | None = None
) -> list[Movement]:
    """The newest movements of an account first, in posting order; `before` is the last line seen already.

    It goes on into archived months where `archive` has them, and ends before them without it. Raises
    LookupError when there is no account of that code, or `before` is no line of it, and ArchiveDamaged.
    """
    account_id, kind = find_account(conn, code)
    at = _start(conn, account_id, code, before, archive)
    return list(islice(_walk(conn, archive, _Walked(account_id, code, kind), at, limit), limit))


def beyond_the_books(
    conn: Connection, archive: Archive | None, *where: ColumnElement[bool], floors: Subquery | None = None
) -> Iterator[tuple[str, Iterator[Movement]]]:
    """What `walks` under the same conditions does not reach: by account, the movements from the first archived on.

    Newest first, and read as they are asked for. Nothing where no line has left the books. Raises LinesArchived
    where some have and no archive is named, and ArchiveDamaged.
    """
    if lines_begin(conn) is None:
        return
    account, walk = tables.account.c, walks(*where, floors=floors)
    ends = (
        select(account.id, account.code, account.kind, walk.c.line_id)
        .join(walk, walk.c.account_id == account.id)
        .outerjoin(tables.line, tables.line.c.id == walk.c.line_id)
        .where(tables.line.c.id.is_(None))
        .order_by(account.code)
    )
    for account_id, code, kind, at in conn.execute(ends).all():
        if archive is None:
            raise LinesArchived(f"account {code}", date_of(at).replace(day=1))
        yield code, _walk(conn, archive, _Walked(account_id, code, Kind(kind)), at, _AHEAD)


def happened_by(business_date: date) -> datetime:
    """An instant by which all has happened that is booked on a date: its night ends before the next day does."""
    return datetime.combine(business_date + _ITS_NIGHT, time(), UTC)


def booked_above(dialect: str, at: ColumnElement[datetime]) -> ColumnElement[int]:
    """Above which number all lines are of what happened after an instant (`happened_by`), in a database's own words."""
    last = _ITS_NIGHT - timedelta(days=1)
    if dialect == "postgresql":
        in_utc = func.timezone("UTC", at, type_=DateTime()) - literal(last, Interval())
        of_day = func.to_char(in_utc, "YYYYMMDD")
    else:
        # By the day of the text, which is UTC's: it rounds the last instant of a day up.
        of_day = func.strftime("%Y%m%d", func.substr(at, 1, 10), f"-{last.days} days")
    return of_day.cast(BigInteger) * literal(A_DAY, BigInteger)


def _walk(conn: Connection, archive: Archive | None, of: _Walked, at: int, page: int) -> Iterator[Movement]:
    """The movements of an account from a line on, read `page` at a time."""
    # A night that books into the last day of a month while the first of the next is open leaves walks that
    # cross from one month to the other and back.
    while at:
        moved, at_next = _in_books(conn, of.account_id, of.kind, at, page)
        if not moved and archive is not None:
            moved, at_next = _in_archive(conn, archive, of.code, of.kind, at, page)
        if not moved:
            return
        yield from moved
        at = at_next


def _in_books(
    conn: Connection, account_id: int, kind: Kind, start: int, limit: int
) -> tuple[list[Movement], int]:
    """The movements from a line on as far as lines are in the books, and the line after them; 0 is none."""
    sign = 1 if kind.grows_by_debit else -1
    line, entry, counter = tables.line.c, tables.entry.c, tables.account.alias("counter")
    walk = select(literal(1).label("place"), literal(start, BigInteger).label("line_id")).cte(
        "walk", recursive=True
    )
    before = before_on(account_id)
    walk = walk.union_all(
        select(walk.c.place + 1, before.line_id)
        .select_from(walk.join(tables.line, line.id == walk.c.line_id))
        .outerjoin(before.overtaken, before.joined)
        .where(walk.c.place < limit)
    )
    other = case((line.debit_id == account_id, line.credit_id), else_=line.debit_id)
    query: Select[*tuple[Any, ...]] = (
        select(
            line.id,
            entry.id,
            line.id - entry.first_line_id + 1,
            entry.business_date,
            entry.event_at,
            entry.kind,
            entry.reference,
            line.item,
            line.amount_fen * case((line.debit_id == account_id, sign), else_=-sign),
            counter.c.code,
            before.line_id,
        )
        .select_from(walk.join(tables.line, line.id == walk.c.line_id))
        .outerjoin(before.overtaken, before.joined)
        .join(tables.entry, entry.id == line.entry_id)
        .join(counter, counter.c.id == other)
        .order_by(walk.c.place)
        .limit(limit)
    )
    rows = conn.execute(query).all()
    return [Movement(*row[:-1]) for row in rows], rows[-1][-1] if rows else 0


def _in_archive(
    conn: Connection, archive: Archive, code: str, kind: Kind, at: int, limit: int
) -> tuple[list[Movement], int]:
    """The same in archived months."""
    moved: list[Movement] = []
    while len(moved) < limit and (line := archive.line(conn, at)) is not None:
        debited = line.debit == code
        grows = debited == kind.grows_by_debit
        moved.append(
            Movement(
                line.line_id, line.entry_id, line.line_no, line.business_date, line.event_at, line.kind,
                line.reference, line.item, line.amount_fen if grows else -line.amount_fen,
                line.credit if debited else line.debit,
            )
        )  # fmt: skip
        at = _before(line, code) or 0
    return moved, at


def _before(line: ArchivedLine, code: str) -> int | None:
    """The line before this one on an account; 0 where it is the first, None where it is not the account's."""
    return {line.credit: line.credit_before_id, line.debit: line.debit_before_id}.get(code)


def walks(*where: ColumnElement[bool], floors: Subquery | None = None) -> CTE:
    """All lines of the accounts that fulfil conditions on `tables.account`: account_id, line_id.

    Costs a look-up a line, so it is for accounts that have not millions of them. It ends where the lines of
    archived months are no longer in the books, and from there `beyond_the_books` goes on. `floors` may say of each
    account (account_id, line_id) at which number it ends before; only accounts that it names are walked along then.
    """
    account, total, line = tables.account.c, tables.total.c, tables.line.c
    floor = literal(NONE, BigInteger) if floors is None else floors.c.line_id
    columns = (account.id.label("account_id"), total.last_line_id.label("line_id"), floor.label("floor"))
    newest = select(*columns).join(tables.total, total.account_id == account.id)
    if floors is not None:
        newest = newest.join(floors, floors.c.account_id == account.id)
    walk = newest.where(total.last_line_id > floor, *where).cte("walks", recursive=True)
    before = before_on(walk.c.account_id)
    return walk.union_all(
        select(walk.c.account_id, before.line_id, walk.c.floor)
        .select_from(walk.join(tables.line, line.id == walk.c.line_id))
        .outerjoin(before.overtaken, before.joined)
        .where(before.line_id > walk.c.floor)
    )


def _start(conn: Connection, account_id: int, code: str, before: int | None, archive: Archive | None) -> int:
    """The number of the line that a walk begins with; 0 where there is none."""
    line, total = tables.line.c, tables.total.c
    if before is None:
        newest = select(total.last_line_id).where(total.account_id == account_id)
        last_line_id: int = conn.execute(newest).scalar_one()
        return last_line_id
    earlier = before_on(account_id)
    query = (
        select(earlier.line_id)
        .outerjoin(earlier.overtaken, earlier.joined)
        .where(line.id == before, or_(line.debit_id == account_id, line.credit_id == account_id))
    )
    found: int | None = conn.execute(query).scalar_one_or_none()
    if found is None and archive is not None:
        archived = archive.line(conn, before)
        found = None if archived is None else _before(archived, code)
    if found is None:
        raise NoLineOfIt(f"line {before} is none of account {code}; begin without it")
    return found
