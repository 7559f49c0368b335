"""What the books say about the orders that are to be booked: loaded at once, before anything is decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from ledger import tables
from ledger.accounts import Limit
from ledger.bulk import one_of
from ledger.day import DayState
from ledger.entry import Entry, Line, chain_start
from ledger.events import Tail, tail
from ledger.ids import NONE, numbers_of
from ledger.journal import of_references, read_entries
from ledger.orders import Hold, Order, Reversal, Void


class AccountFacts(NamedTuple):
    """An account as it stands before the call; amounts in fen. A tuple, as a night loads millions."""

    account_id: int
    limit: Limit
    closed: bool
    debits_fen: int
    credits_fen: int
    debits_held_fen: int
    credits_held_fen: int
    last_line_id: int


class DayFacts(NamedTuple):
    """A business day and the end of its books so far: newest numbers, running hash."""

    state: DayState
    last_entry_id: int
    last_line_id: int
    chain: bytes


class Booked(NamedTuple):
    """An entry that is in the books; its lines only where a reversal of it is offered.

    Where those are archived, `without_lines` is the entry without them: its digest tells what they were.
    """

    entry_id: int
    digest: bytes
    reversed_by: str | None = None
    lines: tuple[Line, ...] = ()
    without_lines: Entry | None = None


class HoldFacts(NamedTuple):
    """A hold that was placed, whether its money is still set aside, and whether an entry took it."""

    hold_id: int
    reference: str
    digest: bytes
    open: bool
    settled: bool
    expires_at: datetime
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that decides over a sequence of orders; `due` are the open holds that have run out."""

    days: Mapping[date, DayFacts]
    accounts: Mapping[str, AccountFacts]
    booked: Mapping[str, Booked]
    originals: Mapping[str, Booked]
    holds: Mapping[str, HoldFacts]
    due: tuple[HoldFacts, ...]
    forestalled: Mapping[str, str]
    last_hold_id: int
    events: Tail


def load_facts(conn: Connection, orders: Sequence[Order], *, at: datetime) -> Facts:
    """Read the facts about orders whose texts the database can hold, in at most eleven statements."""
    booking = [order for order in orders if isinstance(order, Entry | Reversal)]
    own = {order.reference for order in orders}
    taken_back = _there(order.reverses if isinstance(order, Entry) else order.original for order in booking)
    settled = _there(order.settles for order in booking if isinstance(order, Entry))
    originals = _originals(conn, list(taken_back))
    touched = settled | {order.reference for order in orders if isinstance(order, Hold | Void)}
    holds = _holds(conn, list(touched))
    due = _due(conn, at)
    return Facts(
        days=_days(conn, {order.business_date for order in booking}),
        accounts=_accounts(conn, _codes([*orders, *originals.values(), *holds.values(), *due])),
        booked=_booked(conn, list({order.reference for order in booking})),
        originals=originals,
        holds=holds,
        due=due,
        forestalled=_forestalled(conn, list(own | taken_back)),
        last_hold_id=_last_hold_id(conn) if any(isinstance(order, Hold) for order in orders) else 0,
        events=tail(conn),
    )


def _there(references: Iterable[str | None]) -> set[str]:
    return {reference for reference in references if reference is not None}


def _codes(found: Iterable[Order | Booked | HoldFacts]) -> list[str]:
    codes: set[str] = set()
    for one in found:
        if not isinstance(one, Void | Reversal):
            codes.update([line.debit for line in one.lines])
            codes.update([line.credit for line in one.lines])
    return sorted(codes)


def _days(conn: Connection, dates: set[date]) -> dict[date, DayFacts]:
    if not dates:
        return {}
    columns, entry = tables.day.c, tables.entry.c
    query = select(columns.business_date, columns.state)
    query = query.where(columns.business_date.between(min(dates), max(dates)))
    found = {}
    for business_date, state in conn.execute(query).all():
        if business_date not in dates:
            continue
        start, end = numbers_of(business_date)
        newest = (
            select(entry.id, entry.first_line_id + entry.line_count - 1, entry.chain)
            .where(entry.id > start, entry.id < end)
            .order_by(entry.id.desc())
            .limit(1)
        )
        # Of days that are over nothing more is asked, and so at most two are looked into.
        row = None if state == DayState.CLOSED else conn.execute(newest).one_or_none()
        last_entry_id, last_line_id, chain = row or (start, start, chain_start(business_date))
        found[business_date] = DayFacts(DayState(state), last_entry_id, last_line_id, bytes(chain))
    return found


def _accounts(conn: Connection, codes: Sequence[str]) -> dict[str, AccountFacts]:
    if not codes:
        return {}
    account, total = tables.account.c, tables.total.c
    query = (
        select(
            account.code,
            account.id,
            account.limit_rule,
            total.closed,
            total.debits_posted_fen,
            total.credits_posted_fen,
            total.debits_held_fen,
            total.credits_held_fen,
            total.last_line_id,
        )
        .join(tables.total, total.account_id == account.id)
        .where(one_of(conn, account.code, codes))
    )
    limits = {limit.value: limit for limit in Limit}
    return {
        row[0]: AccountFacts(row[1], limits[row[2]], row[3], row[4], row[5], row[6], row[7], row[8])
        for row in conn.execute(query)
    }


def _booked(conn: Connection, references: Sequence[str]) -> dict[str, Booked]:
    if not references:
        return {}
    columns = tables.entry.c
    query = select(columns.reference, columns.id, columns.digest).where(of_references(conn, references))
    return {reference: Booked(number, bytes(digest)) for reference, number, digest in conn.execute(query)}


def _originals(conn: Connection, references: Sequence[str]) -> dict[str, Booked]:
    if not references:
        return {}
    reversal = tables.entry.alias("reversal")
    query = (
        select(tables.entry.c.reference, reversal.c.reference)
        .join(reversal, reversal.c.reverses_id == tables.entry.c.id)
        .where(one_of(conn, tables.entry.c.reference, references))
    )
    reversals = {row[0]: row[1] for row in conn.execute(query)}
    return {
        found.entry.reference: Booked(
            found.entry_id,
            found.digest,
            reversals.get(found.entry.reference),
            found.entry.lines,
            None if found.entry.lines else found.entry,
        )
        for found in read_entries(conn, of_references(conn, references))
    }


def _forestalled(conn: Connection, references: Sequence[str]) -> dict[str, str]:
    columns = tables.forestalled.c
    query = select(columns.reference, columns.by_reference)
    query = query.where(one_of(conn, columns.reference, references))
    return {row.reference: row.by_reference for row in conn.execute(query)}


def _holds(conn: Connection, references: Sequence[str]) -> dict[str, HoldFacts]:
    if not references:
        return {}
    return {
        found.reference: found
        for found in _read_holds(conn, one_of(conn, tables.hold.c.reference, references))
    }


def _due(conn: Connection, at: datetime) -> tuple[HoldFacts, ...]:
    return tuple(_read_holds(conn, tables.open_hold.c.expires_at <= at))


def _read_holds(conn: Connection, where: ColumnElement[bool]) -> list[HoldFacts]:
    hold, line, still = tables.hold.c, tables.hold_line.c, tables.open_hold
    settling = tables.entry.alias("settling")
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    query = (
        select(
            hold.id,
            hold.reference,
            hold.digest,
            still.c.hold_id.is_not(None),
            settling.c.id.is_not(None),
            hold.expires_at,
            debit.c.code,
            credit.c.code,
            line.amount_fen,
            line.item,
        )
        .select_from(tables.hold.outerjoin(still, still.c.hold_id == hold.id))
        .outerjoin(settling, settling.c.settles_id == hold.id)
        .join(tables.hold_line, line.hold_id == hold.id)
        .join(debit, debit.c.id == line.debit_id)
        .join(credit, credit.c.id == line.credit_id)
        .where(where)
        .order_by(hold.id, line.number)
    )
    found: dict[int, HoldFacts] = {}
    for row in conn.execute(query):
        hold_id, reference, digest, is_open, settled, expires_at, debited, credited, amount_fen, item = row
        before = found.get(hold_id)
        own = (*(before.lines if before else ()), Line(debited, credited, amount_fen, item))
        found[hold_id] = HoldFacts(hold_id, reference, bytes(digest), is_open, settled, expires_at, own)
    return list(found.values())


def _last_hold_id(conn: Connection) -> int:
    found: int = conn.execute(select(func.coalesce(func.max(tables.hold.c.id), NONE))).scalar_one()
    return found
