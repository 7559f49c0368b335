"""What accounts hold: now, at the end of any business date, and at any instant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Connection, Row, Select, case, func, not_, or_, select

from ledger import tables
from ledger.accounts import Kind
from ledger.archive import Archive, LinesArchived, lines_begin
from ledger.bulk import one_of
from ledger.chart import STANDING
from ledger.day import DayState
from ledger.snapshots import lines_since, total_fen


@dataclass(frozen=True, slots=True)
class Balance:
    """The totals of an account, or of several of one kind, in fen."""

    code: str
    kind: Kind
    debits_fen: int
    credits_fen: int

    @property
    def net_fen(self) -> int:
        """Debits less credits: over all accounts these sum to zero."""
        return self.debits_fen - self.credits_fen

    @property
    def balance_fen(self) -> int:
        """The balance as people speak of it: positive on the side where this kind of account grows."""
        return self.net_fen if self.kind.grows_by_debit else -self.net_fen


@dataclass(frozen=True, slots=True)
class Free:
    """What an account has, what of it is set aside by holds, and what is left to spend, in fen."""

    balance_fen: int
    held_fen: int

    @property
    def free_fen(self) -> int:
        return self.balance_fen - self.held_fen


def balances(conn: Connection, prefix: str = "") -> list[Balance]:
    """The balances of all accounts whose code starts with `prefix`, by code."""
    columns = tables.account.c
    query = _totals_query().order_by(columns.code)
    if prefix:
        query = query.where(under(prefix))
    return _read(conn.execute(query))


def balances_of(conn: Connection, codes: Sequence[str]) -> list[Balance]:
    """The balances of the accounts of these codes, in no order; a code without an account is left out."""
    return _read(conn.execute(_totals_query().where(one_of(conn, tables.account.c.code, codes))))


def balance(conn: Connection, code: str) -> Balance:
    """The balance of one account. Raises LookupError when there is none of that code."""
    found = _read(conn.execute(_totals_query().where(tables.account.c.code == code)))
    if not found:
        raise LookupError(f"no account {code}; open it first")
    return found[0]


def free(conn: Connection, code: str) -> Free:
    """What an account has free to spend. Raises LookupError when there is none of that code."""
    account, total = tables.account.c, tables.total.c
    query = (
        select(
            account.kind,
            total.debits_posted_fen - total.credits_posted_fen,
            total.debits_held_fen,
            total.credits_held_fen,
        )
        .join(tables.total, total.account_id == account.id)
        .where(account.code == code)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise LookupError(f"no account {code}; open it first")
    grows_by_debit = Kind(row[0]).grows_by_debit
    return Free(row[1] if grows_by_debit else -row[1], row[3] if grows_by_debit else row[2])


def balance_on(conn: Connection, code: str, business_date: date) -> Balance:
    """The balance of one account at the end of a business date, without looking at a line.

    Raises LookupError when there is no account of that code.
    """
    account_id, kind = find_account(conn, code)
    at = accounts_on(business_date, tables.account.c.id == account_id)
    debits_fen, credits_fen = conn.execute(select(at.c.debits_fen, at.c.credits_fen)).one()
    return Balance(code, kind, debits_fen, credits_fen)


def balance_at(conn: Connection, code: str, at: datetime, archive: Archive | None = None) -> Balance:
    """The balance of one account at an instant: what had been posted until then, at whatever date.

    Made from the last snapshot before and the lines of the days since, so its cost is that of reading them.
    Raises LookupError when there is no account of that code, and LinesArchived where lines of those days are
    archived and `archive` is not given.
    """
    account_id, kind = find_account(conn, code)
    day, line, entry = tables.day.c, tables.line.c, tables.entry.c
    closed = conn.execute(select(func.max(day.business_date)).where(day.closed_at <= at)).scalar_one()
    before = (0, 0)
    if closed is not None:
        standing = accounts_on(closed, tables.account.c.id == account_id)
        before = conn.execute(select(standing.c.debits_fen, standing.c.credits_fen)).one()
    later = select(func.min(day.business_date))
    first = conn.execute(later if closed is None else later.where(day.business_date > closed)).scalar_one()
    if first is None:
        return Balance(code, kind, *before)
    begin = lines_begin(conn)
    archived = (0, 0)
    if begin is not None and first < begin:
        if archive is None:
            raise LinesArchived(f"account {code} at {at}", first)
        archived = archive.moved(conn, code, since=first, at=at)
    query = (
        select(
            total_fen(case((line.debit_id == account_id, line.amount_fen), else_=0)),
            total_fen(case((line.credit_id == account_id, line.amount_fen), else_=0)),
        )
        .join(tables.entry, entry.id == line.entry_id)
        .where(
            lines_since(first),
            entry.posted_at <= at,
            or_(line.debit_id == account_id, line.credit_id == account_id),
        )
    )
    since = conn.execute(query).one()
    debits_fen, credits_fen = (sum(parts) for parts in zip(before, archived, since, strict=True))
    return Balance(code, kind, debits_fen, credits_fen)


def accounts_on(business_date: date, *where: ColumnElement[bool]) -> CTE:
    """Accounts with their totals at the end of a business date: id, code, segment, kind, debits_fen, credits_fen.

    `where` are conditions on `tables.account`. The running totals tell it where nothing moved since; what
    the newest date found tells it while the day is not closed, as only one day can have moved things since;
    and the newest snapshot tells it of a closed day.
    """
    account, total, day, snapshot = tables.account.c, tables.total.c, tables.day.c, tables.snapshot.c
    unfinished = (
        select(day.business_date)
        .where(day.business_date == business_date, day.state != DayState.CLOSED.value)
        .exists()
    )
    still = or_(total.moved_on.is_(None), total.moved_on <= business_date)

    def at_end(posted: str, before: str) -> ColumnElement[int]:
        kept = (
            select(snapshot[posted])
            .where(snapshot.account_id == account.id, snapshot.business_date <= business_date)
            .order_by(snapshot.business_date.desc())
            .limit(1)
            .correlate(tables.account)
            .scalar_subquery()
        )
        return case((still, total[posted]), (unfinished, total[before]), else_=func.coalesce(kept, 0))

    return (
        select(
            account.id,
            account.code,
            account.segment,
            account.kind,
            at_end("debits_posted_fen", "debits_before_fen").label("debits_fen"),
            at_end("credits_posted_fen", "credits_before_fen").label("credits_fen"),
        )
        .join(tables.total, total.account_id == account.id)
        .where(*where)
        .cte("accounts_on")
    )


def totals(conn: Connection, on: date | None = None) -> list[Balance]:
    """The trial balance: one row a sub-ledger, one an account where the chart has standing accounts.

    It is that of now, or of the end of a business date. Rows come by name and kind.
    """
    # Asked apart: PostgreSQL takes the rows of one question for nearly as many as accounts, and sorts all of these.
    by_itself = tables.account.c.segment.in_(STANDING)
    found: list[Balance] = []
    for row, where in (("code", by_itself), ("segment", not_(by_itself))):
        at = _standing(on, where).c
        query = select(at[row], at.kind, total_fen(at.debits_fen), total_fen(at.credits_fen))
        found += _read(conn.execute(query.group_by(at[row], at.kind)))
    return sorted(found, key=lambda one: (one.code, one.kind))


def roll_up(conn: Connection, prefix: str = "", *, depth: int = 1, on: date | None = None) -> list[Balance]:
    """Balances along the hierarchy of codes: one row for each first `depth` parts and kind, by code.

    `prefix` names the accounts, as in `balances`; `clearing:METRO-1:line-2` has three parts. They are those of
    now, or of the end of a business date. Raises ValueError for a depth below 1.
    """
    if depth < 1:
        raise ValueError(f"depth {depth} is below 1; give the number of parts that a row is named by")
    sums: dict[tuple[str, Kind], tuple[int, int]] = {}
    at = _standing(on, *([under(prefix)] if prefix else [])).c
    rows = conn.execute(select(at.code, at.kind, at.debits_fen, at.credits_fen))
    for code, kind, debits_fen, credits_fen in rows:
        key = (":".join(code.split(":")[:depth]), Kind(kind))
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + debits_fen, before[1] + credits_fen)
    return [Balance(code, kind, *sums[code, kind]) for code, kind in sorted(sums)]


def under(prefix: str) -> ColumnElement[bool]:
    """The condition on accounts that their code starts with `prefix`."""
    # Codes are ASCII and compared by bytes: DEL comes after all that can follow the prefix.
    return (tables.account.c.code >= prefix) & (tables.account.c.code < prefix + "\x7f")


def find_account(conn: Connection, code: str) -> tuple[int, Kind]:
    """The number and kind of an account. Raises LookupError when there is none of that code."""
    columns = tables.account.c
    found = conn.execute(select(columns.id, columns.kind).where(columns.code == code)).one_or_none()
    if found is None:
        raise LookupError(f"no account {code}; open it first")
    return found[0], Kind(found[1])


def _standing(on: date | None, *where: ColumnElement[bool]) -> CTE:
    """Accounts with their totals now, or at the end of a date, as `accounts_on` has them."""
    if on is not None:
        return accounts_on(on, *where)
    account, total = tables.account.c, tables.total.c
    return (
        select(
            account.id,
            account.code,
            account.segment,
            account.kind,
            total.debits_posted_fen.label("debits_fen"),
            total.credits_posted_fen.label("credits_fen"),
        )
        .join(tables.total, total.account_id == account.id)
        .where(*where)
        .cte("accounts_now")
    )


def _totals_query() -> Select[*tuple[Any, ...]]:
    account, total = tables.account.c, tables.total.c
    return select(account.code, account.kind, total.debits_posted_fen, total.credits_posted_fen).join(
        tables.total, total.account_id == account.id
    )


def _read(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[Balance]:
    return [
        Balance(code, Kind(kind), debits_fen, credits_fen) for code, kind, debits_fen, credits_fen in rows
    ]
