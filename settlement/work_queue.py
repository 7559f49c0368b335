"""What people must look at after a night: items with a deadline, and what became of each, never overwritten.

An item is known by its kind and subject, so that a night that finds the same thing again adds nothing. Its state is
what its last event says. A night clears what it no longer finds; what a person called done and a night still finds
comes back once its deadline has passed or its figures are others. It keeps its deadline where its cause has stood all
the time; what had been cleared, or was found for a night of its own, happens anew and is due anew.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from ledger.bulk import insert_rows
from settlement.tables import work_event, work_item


class Kind(StrEnum):
    """What an item is about, the most urgent first."""

    NIGHT_REFUSED = "night_refused"
    CLONE = "clone"
    FILE_REJECTED = "file_rejected"
    FILE_MISSING = "file_missing"
    BANK_REJECTED = "bank_rejected"
    BANK_DIFFERS = "bank_differs"
    BANK_MISSING = "bank_missing"
    BANK_FILE = "bank_file"
    APPROVAL_WAITS = "approval_waits"
    POSITION_CARRIED = "position_carried"
    PEER_OPEN = "peer_open"
    PRICE_DIFFERS = "price_differs"
    ISSUER_REFUSED = "issuer_refused"
    SUSPENDED = "suspended"


DAYS: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        Kind.NIGHT_REFUSED: 0,
        Kind.CLONE: 1,
        Kind.FILE_REJECTED: 1,
        Kind.FILE_MISSING: 2,
        Kind.BANK_REJECTED: 1,
        Kind.BANK_DIFFERS: 1,
        Kind.BANK_MISSING: 1,
        Kind.BANK_FILE: 2,
        Kind.APPROVAL_WAITS: 1,
        Kind.POSITION_CARRIED: 3,
        Kind.PEER_OPEN: 3,
        Kind.PRICE_DIFFERS: 5,
        Kind.ISSUER_REFUSED: 5,
        Kind.SUSPENDED: 30,
    }
)
"""Calendar days from the business date until somebody has to have dealt with it; taps: from when they first came."""


class State(StrEnum):
    """Where an item stands."""

    OPEN = "open"
    TAKEN = "taken"
    DONE = "done"


class Happened(StrEnum):
    """What became of an item: raised, changed and cleared by nights, the rest by people."""

    RAISED = "raised"
    CHANGED = "changed"
    TAKEN = "taken"
    DONE = "done"
    BACK = "back"
    CLEARED = "cleared"


_AFTER: Final = {
    Happened.RAISED: State.OPEN,
    Happened.TAKEN: State.TAKEN,
    Happened.DONE: State.DONE,
    Happened.BACK: State.OPEN,
    Happened.CLEARED: State.DONE,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a night found: how many taps, files or lines, what they amount to, and what a person does."""

    kind: Kind
    subject: str
    due_on: date
    items: int
    amount_fen: int
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it stands: the figures are those of its last finding, the words those of its last event."""

    number: int
    kind: Kind
    subject: str
    raised_on: date
    due_on: date
    state: State
    items: int
    amount_fen: int
    what: str
    remedy: str
    who: str  # who moved it last
    since: datetime  # when
    note: str  # what they said
    cleared: bool = False  # done, as the night that moved it last no longer found it

    def late_on(self, day: date) -> int:
        """How many days past its deadline it is; 0 where it is not, or is done."""
        return 0 if self.state is State.DONE else max(0, (day - self.due_on).days)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to an item, as it was written."""

    number: int
    happened: Happened
    at: datetime
    who: str
    what: str
    due_on: date | None = None  # the deadline from here on; None: the one before


class QueueRefusal(StrEnum):
    """Why a person's move is not made, in order of precedence: the first that applies is told."""

    ITEM_UNKNOWN = "item_unknown"
    NOTE_MISSING = "note_missing"
    ALREADY_DONE = "already_done"
    TAKEN_BY_ANOTHER = "taken_by_another"
    NOTHING_TO_GIVE_BACK = "nothing_to_give_back"


@dataclass(frozen=True, slots=True)
class QueueRefused:
    """A move that is not made, and what to do."""

    refusal: QueueRefusal
    message: str
    remedy: str


def items_of(conn: Connection, states: Collection[State] = (State.OPEN, State.TAKEN)) -> list[Item]:
    """Items in these states, the earliest deadline first, among equals the most urgent kind."""
    order = tuple(Kind)
    found = [item for item in _load(conn) if item.state in states]
    return sorted(found, key=lambda item: (item.due_on, order.index(item.kind), item.number))


def item_of(conn: Connection, number: int) -> Item | None:
    """One item by its number."""
    return next((item for item in _load(conn) if item.number == number), None)


def events_of(conn: Connection, number: int) -> list[Event]:
    """Everything that happened to an item, in order."""
    query = select(work_event).where(work_event.c.item == number).order_by(work_event.c.number)
    return [
        Event(row.number, Happened(row.happened), row.at, row.who, row.what, row.due_on)
        for row in conn.execute(query)
    ]


def move(
    conn: Connection, number: int, happened: Happened, *, who: str, note: str, at: datetime
) -> Item | QueueRefused:
    """Take an item, call it done, or give it back; the item as it stands then."""
    item = item_of(conn, number)
    refused = refusal_to_move(item, number, happened, who, note)
    if refused is not None:
        return refused
    _add(conn, number, happened, at=at, who=who, what=note)
    moved = item_of(conn, number)
    assert moved is not None
    return moved


def refusal_to_move(
    item: Item | None, number: int, happened: Happened, who: str, note: str
) -> QueueRefused | None:
    """The first reason why a person may not make this move, or None."""
    if item is None:
        return QueueRefused(
            QueueRefusal.ITEM_UNKNOWN, f"no item has number {number}", "`onecard queue list` names them"
        )
    if happened is not Happened.TAKEN and not note.strip():
        message = f"{happened} of item {number} says nothing of why"
        return QueueRefused(QueueRefusal.NOTE_MISSING, message, "give --note")
    if item.state is State.DONE and happened is not Happened.BACK:
        message = f"item {number} is done since {item.since:%Y-%m-%d}, by {item.who}"
        return QueueRefused(QueueRefusal.ALREADY_DONE, message, "give it back first, with a reason")
    if item.state is State.TAKEN and item.who != who and happened is not Happened.BACK:
        message = f"item {number} was taken by {item.who}"
        return QueueRefused(QueueRefusal.TAKEN_BY_ANOTHER, message, "have it given back first")
    if item.state is State.OPEN and happened is Happened.BACK:
        message = f"item {number} is open: nobody has it"
        return QueueRefused(QueueRefusal.NOTHING_TO_GIVE_BACK, message, "take it, if you want it")
    return None


def hand_over(
    conn: Connection,
    found: Sequence[Found],
    standing: Collection[Kind],
    business_date: date,
    *,
    at: datetime,
    who: str = "",
) -> None:
    """Put what a night found, or somebody else (`who`), into the queue; again, it changes nothing.

    Of the `standing` kinds, what is in the queue and was not found is cleared: its cause is gone.
    """
    who = who or f"night {business_date}"
    known = {(item.kind, item.subject): item for item in _load(conn)}
    _raise_new(
        conn, [one for one in found if (one.kind, one.subject) not in known], business_date, at=at, who=who
    )
    for one in found:
        item = known.get((one.kind, one.subject))
        if item is not None and (happened := _again(item, one, business_date)) is not None:
            anew = happened is Happened.RAISED and (item.cleared or one.kind not in standing)
            due_on = max(one.due_on, business_date) if anew else None
            _add(conn, item.number, happened, at=at, who=who, what=one.what, found=one, due_on=due_on)
    keys = {(one.kind, one.subject) for one in found}
    clear(conn, lambda item: item.kind in standing and (item.kind, item.subject) not in keys, who, at=at)


def clear(conn: Connection, gone: Callable[[Item], bool], who: str, *, at: datetime) -> None:
    """Call done whatever is not done yet and whose cause is gone."""
    for item in items_of(conn):
        if gone(item):
            _add(conn, item.number, Happened.CLEARED, at=at, who=who, what="its cause is gone")


def _again(item: Item, found: Found, business_date: date) -> Happened | None:
    """What happens to an item that is found again."""
    same = (item.items, item.amount_fen, item.what) == (found.items, found.amount_fen, found.what)
    if item.state is not State.DONE:
        return None if same else Happened.CHANGED
    rests = same and business_date <= item.due_on and not item.cleared
    return None if rests else Happened.RAISED


def _load(conn: Connection) -> list[Item]:
    told, moved, due = work_event.alias("told"), work_event.alias("moved"), work_event.alias("due")
    finding = (Happened.RAISED.value, Happened.CHANGED.value)
    last = select(
        work_event.c.item,
        func.max(work_event.c.number).filter(work_event.c.happened.in_(finding)).label("told"),
        func.max(work_event.c.number).filter(work_event.c.happened != Happened.CHANGED.value).label("moved"),
        func.max(work_event.c.number).filter(work_event.c.due_on.is_not(None)).label("due"),
    )
    newest = last.group_by(work_event.c.item).subquery()
    query = (
        select(
            work_item, told.c.item_count, told.c.amount_fen, told.c.what, told.c.remedy,
            func.coalesce(due.c.due_on, work_item.c.due_on).label("deadline"),
            moved.c.happened, moved.c.who, moved.c.at, moved.c.what.label("note"),
        )
        .join(newest, newest.c.item == work_item.c.number)
        .join(told, (told.c.item == work_item.c.number) & (told.c.number == newest.c.told))
        .join(moved, (moved.c.item == work_item.c.number) & (moved.c.number == newest.c.moved))
        .outerjoin(due, (due.c.item == work_item.c.number) & (due.c.number == newest.c.due))
        .order_by(work_item.c.number)
    )  # fmt: skip
    return [_item(row) for row in conn.execute(query)]


def _item(row: Row[Any]) -> Item:
    happened = Happened(row.happened)
    return Item(
        row.number, Kind(row.kind), row.subject, row.raised_on, row.deadline, _AFTER[happened], row.item_count,
        row.amount_fen, row.what, row.remedy, row.who, row.at, "" if happened is Happened.RAISED else row.note,
        happened is Happened.CLEARED,
    )  # fmt: skip


def _raise_new(
    conn: Connection, found: Sequence[Found], business_date: date, *, at: datetime, who: str
) -> None:
    """Number what was never found before, and raise it: a night may find thousands, of which each is one row twice."""
    newest = conn.execute(select(func.coalesce(func.max(work_item.c.number), 0))).scalar_one()
    items = [
        (number, one.kind.value, one.subject, business_date, max(one.due_on, business_date))
        for number, one in enumerate(found, newest + 1)
    ]
    events = [
        _event(number, 1, Happened.RAISED, at=at, who=who, what=one.what, found=one)
        for number, one in enumerate(found, newest + 1)
    ]
    insert_rows(conn, work_item, items)
    insert_rows(conn, work_event, events)


def _add(
    conn: Connection, item: int, happened: Happened, *, at: datetime, who: str, what: str,
    found: Found | None = None, due_on: date | None = None,
) -> None:  # fmt: skip
    newest = select(func.coalesce(func.max(work_event.c.number), 0)).where(work_event.c.item == item)
    number = conn.execute(newest).scalar_one() + 1
    row = _event(item, number, happened, at=at, who=who, what=what, found=found, due_on=due_on)
    insert_rows(conn, work_event, [row])


def _event(
    item: int, number: int, happened: Happened, *, at: datetime, who: str, what: str,
    found: Found | None = None, due_on: date | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """What happens to an item as a row of `work_event`."""
    figures = (found.items, found.amount_fen) if found else (None, None)
    remedy = found.remedy[:1000] if found else ""
    return (item, number, happened.value, at, who, *figures, what[:2000], remedy, due_on)
