"""Business days: open, then closing, then closed for ever, each in the order of the calendar."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, func, select, update

from ledger import tables
from ledger.db import lock_writers
from ledger.events import Event, Happened, record_events
from ledger.ids import numbers_of
from ledger.partitions import make_partitions
from ledger.registers import record_cut_off
from ledger.snapshots import take_snapshots


class DayState(StrEnum):
    """Where a business day is: OPEN takes entries, CLOSING only those of its own night, CLOSED none."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class DayOrderError(Exception):
    """A business day was asked to do what is not its turn; the message says what to do first."""


def open_day(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Open the first day, or one later than any other where none is open; one that exists is left as it is.

    At most one day is open and one closing, so that an account's totals tell where it stood at the end of
    either. Raises DayOrderError when a later day exists, or another day is open.
    """
    if day_state(conn, business_date) is not None:
        return
    newest, state = _newest(conn)
    if newest is not None and business_date < newest:
        raise DayOrderError(f"day {business_date} is before {newest}, the newest day; open a later day")
    if state is DayState.OPEN:
        raise DayOrderError(
            f"day {newest} is open; begin its close, which opens the next, before {business_date}"
        )
    opened = {"business_date": business_date, "state": DayState.OPEN.value, "opened_at": at}
    conn.execute(tables.day.insert().values(opened))
    record_events(conn, [Event(at, Happened.DAY_OPENED, business_date.isoformat())])
    make_partitions(conn, business_date)


def current_day(conn: Connection) -> date:
    """The newest open day. Raises DayOrderError when no day is open."""
    query = select(func.max(tables.day.c.business_date)).where(tables.day.c.state == DayState.OPEN.value)
    found: date | None = conn.execute(query).scalar_one()
    if found is None:
        raise DayOrderError("no business day is open; open one first")
    return found


def day_state(conn: Connection, business_date: date) -> DayState | None:
    """The state of a day, or None when it was never opened."""
    query = select(tables.day.c.state).where(tables.day.c.business_date == business_date)
    state = conn.execute(query).scalar_one_or_none()
    return None if state is None else DayState(state)


def begin_close(conn: Connection, business_date: date, *, at: datetime) -> date:
    """Cut the day off and open the next calendar day, which is returned; again, it changes nothing.

    Raises DayOrderError when the day was never opened or an earlier one is not closed.
    """
    if _require_day(conn, business_date) is DayState.OPEN:
        _require_earlier_closed(conn, business_date)
        _move(conn, business_date, DayState.CLOSING, closing_at=at)
        record_cut_off(conn, business_date, at=at)
        open_day(conn, business_date + timedelta(days=1), at=at)
    successor = _successor(conn, business_date)
    if successor is None:
        raise DayOrderError(f"day {business_date} has no day after it; open the next one")
    return successor


def finish_close(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Close the day for good and keep the totals of what moved on it; again, it changes nothing.

    Those do not change any more, so that the writer's lock is asked for when they are kept (`ledger.db.writing_ahead`).
    The day is closed at `at`, or where that is later, at the instant of its last posting or when the day
    before was, so that what had been posted at an instant is never after the close of a later day.
    Raises DayOrderError when the day is not closing or an earlier one is not closed.
    """
    state = _require_day(conn, business_date)
    if state is DayState.CLOSED:
        return
    if state is DayState.OPEN:
        raise DayOrderError(f"day {business_date} is still open; begin its close first")
    _require_earlier_closed(conn, business_date)
    closed_at = max(at, _last_posted_at(conn, business_date) or at, _last_closed_at(conn) or at)
    take_snapshots(conn, business_date)
    lock_writers(conn)
    _move(conn, business_date, DayState.CLOSED, closed_at=closed_at)
    record_events(conn, [Event(closed_at, Happened.DAY_CLOSED, business_date.isoformat())])


def _require_day(conn: Connection, business_date: date) -> DayState:
    state = day_state(conn, business_date)
    if state is None:
        raise DayOrderError(f"day {business_date} was never opened; open it first")
    return state


def _require_earlier_closed(conn: Connection, business_date: date) -> None:
    columns = tables.day.c
    query = select(func.min(columns.business_date)).where(
        columns.business_date < business_date, columns.state != DayState.CLOSED.value
    )
    unfinished = conn.execute(query).scalar_one()
    if unfinished is not None:
        raise DayOrderError(f"day {unfinished} is not closed yet; close it before {business_date}")


def _last_posted_at(conn: Connection, business_date: date) -> datetime | None:
    start, end = numbers_of(business_date)
    entry = tables.entry.c
    query = select(func.max(entry.posted_at)).where(entry.id > start, entry.id < end)
    found: datetime | None = conn.execute(query).scalar_one()
    return found


def _last_closed_at(conn: Connection) -> datetime | None:
    found: datetime | None = conn.execute(select(func.max(tables.day.c.closed_at))).scalar_one()
    return found


def _newest(conn: Connection) -> tuple[date, DayState] | tuple[None, None]:
    columns = tables.day.c
    query = select(columns.business_date, columns.state).order_by(columns.business_date.desc()).limit(1)
    row = conn.execute(query).one_or_none()
    return (None, None) if row is None else (row[0], DayState(row[1]))


def _successor(conn: Connection, business_date: date) -> date | None:
    query = select(func.min(tables.day.c.business_date)).where(tables.day.c.business_date > business_date)
    found: date | None = conn.execute(query).scalar_one()
    return found


def _move(conn: Connection, business_date: date, state: DayState, **instants: datetime) -> None:
    this_day = update(tables.day).where(tables.day.c.business_date == business_date)
    conn.execute(this_day.values(state=state.value, **instants))
