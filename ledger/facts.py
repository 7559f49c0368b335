"""What the books say about the orders that are to be booked: loaded at once, before anything is decided."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from ledger import tables
from ledger.accounts import Limit
from ledger.bulk import one_of
from ledger.day import DayState
from ledger.entry import Entry, Line, chain_start
from ledger.ids import NONE, before_first
from ledger.journal import of_references, read_entries
from ledger.orders import Hold, Order, Reversal, Void
from ledger.questions import Question, ask_together
from ledger.talk import Rows

_LIMITS: Final = {limit.value: limit for limit in Limit}


class AccountFacts(NamedTuple):
    """An account as it stands before the call; amounts in fen."""

    code: str
    account_id: int
    limit: Limit
    closed: bool
    debits_fen: int
    credits_fen: int
    debits_held_fen: int
    credits_held_fen: int
    last_line_id: int


@dataclass(slots=True)
class DayFacts:
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
    accounts: Mapping[str, AccountFacts] = field(default_factory=dict)
    booked: Mapping[str, Booked] = field(default_factory=dict)
    originals: Mapping[str, Booked] = field(default_factory=dict)
    holds: Mapping[str, HoldFacts] = field(default_factory=dict)
    due: tuple[HoldFacts, ...] = ()
    forestalled: Mapping[str, str] = field(default_factory=dict)
    last_hold_id: int = NONE


_LOCK: Final = Question("SELECT :lock_writers")
"""Asked first, so that nothing read after it can change: at no cost where `ledger.db.writing` asked already."""

DAYS: Final = Question(
    "SELECT day.business_date, state, newest.id, newest.first_line_id + newest.line_count - 1, newest.chain"
    # Of days that are over nothing more is asked, and so at most two are looked into.
    " FROM (SELECT business_date, state, CASE WHEN state <> 'closed' THEN (SELECT max(id) FROM ledger_entry"
    " WHERE id > :start_of_day AND id < :start_of_day + 10000000000) END AS newest_id"
    " FROM ledger_day WHERE business_date BETWEEN :value AND :value) day"
    " LEFT JOIN ledger_entry newest ON newest.id = day.newest_id"
)
ACCOUNTS: Final = Question(
    "SELECT code, id, limit_rule, closed, debits_posted_fen, credits_posted_fen, debits_held_fen,"
    " credits_held_fen, last_line_id"
    " FROM ledger_account JOIN ledger_total ON account_id = id WHERE code :one_of"
)
BOOKED: Final = Question("SELECT reference, id, digest FROM ledger_entry WHERE reference :one_of")
FORESTALLED: Final = Question(
    "SELECT reference, by_reference FROM ledger_forestalled WHERE reference :one_of"
)
RAN_OUT: Final = Question("SELECT 1 FROM ledger_open_hold WHERE expires_at <= :value LIMIT 1")


def load_facts(conn: Connection, orders: Sequence[Order], *, at: datetime, ahead: bool = False) -> Facts:
    """Read the facts about orders whose texts the database can hold.

    All that most of them need is asked in one round trip; holds, and what is taken back, take a few more. `ahead` of
    the writer's lock they may be others by the time it is held, and no hold is due.
    """
    booking = [order for order in orders if isinstance(order, Entry | Reversal)]
    own = {order.reference for order in orders}
    taken_back = _there(order.reverses if isinstance(order, Entry) else order.original for order in booking)
    settled = _there(order.settles for order in booking if isinstance(order, Entry))
    dates = {order.business_date for order in booking}
    codes = codes_of(orders)
    first: list[tuple[Question, list[datetime]]] = [] if ahead else [(_LOCK, []), (RAN_OUT, [at])]
    *locked, days, accounts, booked, forestalled = ask_together(
        conn,
        [
            *first,
            (DAYS, [min(dates, default=date.max), max(dates, default=date.min)]),
            (ACCOUNTS, [list(codes)]),
            (BOOKED, [list({order.reference for order in booking})]),
            (FORESTALLED, [list(own | taken_back)]),
        ],
    )
    touched = settled | {order.reference for order in orders if isinstance(order, Hold | Void)}
    originals, holds = _originals(conn, list(taken_back)), _holds(conn, list(touched))
    due = _due(conn, at) if locked and locked[-1] else ()
    if further := codes_of([*originals.values(), *holds.values(), *due]) - codes:
        accounts += ask_together(conn, [(ACCOUNTS, [list(further)])])[0]
    return Facts(
        days=days_of(days, dates),
        accounts=accounts_of(accounts),
        booked=booked_of(booked),
        originals=originals,
        holds=holds,
        due=due,
        forestalled=dict(forestalled),
        last_hold_id=_last_hold_id(conn) if any(isinstance(order, Hold) for order in orders) else 0,
    )


def are_forestalled(conn: Connection, references: Sequence[str]) -> bool:
    """Whether any of these references was taken back before it came."""
    return bool(ask_together(conn, [(FORESTALLED, [references])])[0])


def _there(references: Iterable[str | None]) -> set[str]:
    return {reference for reference in references if reference is not None}


def codes_of(found: Iterable[Order | Booked | HoldFacts]) -> set[str]:
    """The codes of the accounts that lines name."""
    codes: set[str] = set()
    for one in found:
        if not isinstance(one, Void | Reversal):
            for line in one.lines:
                codes.add(line.debit)
                codes.add(line.credit)
    return codes


def days_of(rows: Rows, dates: set[date]) -> dict[date, DayFacts]:
    """What was found in answer to DAYS, by date."""
    found = {}
    for day, state, *newest in rows:
        business_date = date.fromisoformat(day) if isinstance(day, str) else day
        if business_date in dates:
            start = before_first(business_date)
            entry_id, last_line_id, chain = (
                newest if newest[0] else (start, start, chain_start(business_date))
            )
            found[business_date] = DayFacts(DayState(state), entry_id, last_line_id, bytes(chain))
    return found


def accounts_of(rows: Rows) -> dict[str, AccountFacts]:
    """What was found in answer to ACCOUNTS, by code."""
    return {row[0]: AccountFacts(row[0], row[1], _LIMITS[row[2]], bool(row[3]), *row[4:]) for row in rows}


def booked_of(rows: Rows) -> dict[str, Booked]:
    """What was found in answer to BOOKED, by reference."""
    return {reference: Booked(number, bytes(digest)) for reference, number, digest in rows}


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
