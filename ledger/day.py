"""Business days: open, then closing, then closed for ever, each in the order of the calendar."""

from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, func, select, update

from ledger import tables
from ledger.snapshots import take_snapshots


class DayState(StrEnum):
    """Where a business day is: OPEN takes entries, CLOSING only those of its own night, CLOSED none."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class DayOrderError(Exception):
    """A business day was asked to do what is not its turn; the message says what to do first."""


def open_day(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Open the first day, or one later than any other; a day that exists already is left as it is.

    Raises DayOrderError when a later day exists.
    """
    if day_state(conn, business_date) is not None:
        return
    newest = conn.execute(select(func.max(tables.day.c.business_date))).scalar_one()
    if newest is not None and business_date < newest:
        raise DayOrderError(f"day {business_date} is before {newest}, the newest day; open a later day")
    opened = {"business_date": business_date, "state": DayState.OPEN.value, "opened_at": at}
    conn.execute(tables.day.insert().values(opened))


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

    Raises DayOrderError when the day was never opened or an earlier one is still open.
    """
    state = _require_day(conn, business_date)
    successor = _successor(conn, business_date)
    if state is DayState.OPEN:
        _require_earlier(conn, business_date, (DayState.CLOSING, DayState.CLOSED))
        _move(conn, business_date, DayState.CLOSING, closing_at=at)
    if successor is None:
        successor = business_date + timedelta(days=1)
        open_day(conn, successor, at=at)
    return successor


def finish_close(conn: Connection, business_date: date, *, at: datetime) -> None:
    """Close the day for good and keep the totals of what moved on it; again, it changes nothing.

    Raises DayOrderError when the day is not closing or an earlier one is not closed.
    """
    state = _require_day(conn, business_date)
    if state is DayState.CLOSED:
        return
    if state is DayState.OPEN:
        raise DayOrderError(f"day {business_date} is still open; begin its close first")
    _require_earlier(conn, business_date, (DayState.CLOSED,))
    take_snapshots(conn, business_date)
    _move(conn, business_date, DayState.CLOSED, closed_at=at)


def _require_day(conn: Connection, business_date: date) -> DayState:
    state = day_state(conn, business_date)
    if state is None:
        raise DayOrderError(f"day {business_date} was never opened; open it first")
    return state


def _require_earlier(conn: Connection, business_date: date, states: tuple[DayState, ...]) -> None:
    columns = tables.day.c
    query = select(func.min(columns.business_date)).where(
        columns.business_date < business_date, columns.state.not_in([state.value for state in states])
    )
    unfinished = conn.execute(query).scalar_one()
    if unfinished is not None:
        raise DayOrderError(f"day {unfinished} is not {states[0]} yet; close it before {business_date}")


def _successor(conn: Connection, business_date: date) -> date | None:
    query = select(func.min(tables.day.c.business_date)).where(tables.day.c.business_date > business_date)
    found: date | None = conn.execute(query).scalar_one()
    return found


def _move(conn: Connection, business_date: date, state: DayState, **instants: datetime) -> None:
    this_day = update(tables.day).where(tables.day.c.business_date == business_date)
    conn.execute(this_day.values(state=state.value, **instants))
