"""When a business day is over, and which night is due: the rule by which nights are started without a person."""

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final

from sqlalchemy import Connection, select

from ledger.day import DayState
from ledger.tables import day as day_table

NOON: Final = time(12)


def cut_off_of(business_date: date, cut_off: time, zone: tzinfo) -> datetime:
    """The instant at which a business day is over: a cut-off before noon lies on the calendar day after it."""
    day = business_date + timedelta(days=1) if cut_off < NOON else business_date
    return datetime.combine(day, cut_off, zone)


def night_due(conn: Connection, cut_off: time, zone: tzinfo, at: datetime) -> date | None:
    """The oldest business day that is not closed, where its cut-off has passed: the night to run next.

    A night that was started and stopped is due whatever the clock says: its day is cut off already.
    """
    columns = day_table.c
    query = select(columns.business_date, columns.state).where(columns.state != DayState.CLOSED.value)
    oldest = conn.execute(query.order_by(columns.business_date).limit(1)).one_or_none()
    if oldest is None:
        return None
    business_date: date = oldest.business_date
    begun = oldest.state == DayState.CLOSING.value
    return business_date if begun or cut_off_of(business_date, cut_off, zone) <= at else None
