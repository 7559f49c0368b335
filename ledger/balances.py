"""What accounts hold: now, at the end of any business date, and line by line."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, select, union_all

from ledger import tables
from ledger.accounts import Kind
from ledger.chart import STANDING
from ledger.day import DayState
from ledger.snapshots import total_fen


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


def balances(conn: Connection, prefix: str = "") -> list[Balance]:
    """The balances of all accounts whose code starts with `prefix`, by code."""
    columns = tables.account.c
    query = _totals_query().order_by(columns.code)
    if prefix:
        # Codes are ASCII and compared by bytes: DEL comes after all that can follow the prefix.
        query = query.where(columns.code >= prefix, columns.code < prefix + "\x7f")
    return _read(conn.execute(query))


def balance(conn: Connection, code: str) -> Balance:
    """The balance of one account. Raises LookupError when there is none of that code."""
    found = _read(conn.execute(_totals_query().where(tables.account.c.code == code)))
    if not found:
        raise LookupError(f"no account {code}; open it first")
    return found[0]


def balance_on(conn: Connection, code: str, business_date: date) -> Balance:
    """The balance of one account at the end of a business date: a snapshot, and the lines of days not closed.

    Raises LookupError when there is no account of that code.
    """
    account_id, kind = _find(conn, code)
    snapshot = tables.snapshot.c
    kept = conn.execute(
        select(snapshot.debits_posted_fen, snapshot.credits_posted_fen)
        .where(snapshot.account_id == account_id, snapshot.business_date <= business_date)
        .order_by(snapshot.business_date.desc())
        .limit(1)
    ).one_or_none()
    debits_fen, credits_fen = (0, 0) if kept is None else kept
    line = tables.line.c
    return Balance(
        code,
        kind,
        debits_fen + conn.execute(_sum_unfinished(line.debit_id == account_id, business_date)).scalar_one(),
        credits_fen + conn.execute(_sum_unfinished(line.credit_id == account_id, business_date)).scalar_one(),
    )


def totals(conn: Connection) -> list[Balance]:
    """The trial balance: one row a sub-ledger, one an account where the chart has standing accounts."""
    columns = tables.account.c
    row = case((columns.segment.in_(STANDING), columns.code), else_=columns.segment)
    query = (
        select(row, columns.kind, total_fen(columns.debits_posted_fen), total_fen(columns.credits_posted_fen))
        .group_by(row, columns.kind)
        .order_by(row, columns.kind)
    )
    return _read(conn.execute(query))


def history(conn: Connection, code: str, *, limit: int = 50, before: int | None = None) -> list[Movement]:
    """The newest movements of an account first; `before` is the `line_id` of the last one seen already.

    Raises LookupError when there is no account of that code.
    """
    account_id, kind = _find(conn, code)
    sign = 1 if kind.grows_by_debit else -1
    line, entry, counter = tables.line.c, tables.entry.c, tables.account.alias("counter")
    sides = []
    for own, other, factor in ((line.debit_id, line.credit_id, sign), (line.credit_id, line.debit_id, -sign)):
        amount_fen = (line.amount_fen * factor).label("amount_fen")
        side = select(line.id, line.entry_id, line.item, amount_fen, other.label("other")).where(
            own == account_id
        )
        if before is not None:
            side = side.where(line.id < before)
        # Each side is cut before they meet, so that a busy account costs no more than a quiet one.
        sides.append(select(side.order_by(line.id.desc()).limit(limit).subquery()))
    moved = union_all(*sides).subquery()
    query: Select[*tuple[Any, ...]] = (
        select(
            moved.c.id,
            entry.id,
            moved.c.id - entry.first_line_id + 1,
            entry.business_date,
            entry.event_at,
            entry.kind,
            entry.reference,
            moved.c.item,
            moved.c.amount_fen,
            counter.c.code,
        )
        .join(tables.entry, entry.id == moved.c.entry_id)
        .join(counter, counter.c.id == moved.c.other)
        .order_by(moved.c.id.desc())
        .limit(limit)
    )
    return [Movement(*row) for row in conn.execute(query)]


def _find(conn: Connection, code: str) -> tuple[int, Kind]:
    columns = tables.account.c
    found = conn.execute(select(columns.id, columns.kind).where(columns.code == code)).one_or_none()
    if found is None:
        raise LookupError(f"no account {code}; open it first")
    return found[0], Kind(found[1])


def _totals_query() -> Select[*tuple[Any, ...]]:
    columns = tables.account.c
    return select(columns.code, columns.kind, columns.debits_posted_fen, columns.credits_posted_fen)


def _sum_unfinished(of_account: ColumnElement[bool], business_date: date) -> Select[*tuple[Any, ...]]:
    """Sum an account's lines of the days up to a date that no snapshot covers yet, and read no others."""
    entry, line = tables.entry.c, tables.line.c
    unfinished = select(tables.day.c.business_date).where(
        tables.day.c.state != DayState.CLOSED.value, tables.day.c.business_date <= business_date
    )
    first = select(func.min(entry.first_line_id)).where(entry.business_date.in_(unfinished)).scalar_subquery()
    return (
        select(total_fen(line.amount_fen))
        .join(tables.entry, entry.id == line.entry_id)
        .where(of_account, line.id >= first, entry.business_date.in_(unfinished))
    )


def _read(rows: Iterable[Row[*tuple[Any, ...]]]) -> list[Balance]:
    return [
        Balance(code, Kind(kind), debits_fen, credits_fen) for code, kind, debits_fen, credits_fen in rows
    ]
