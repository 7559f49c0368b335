"""Which day a command means that is given no date."""

from datetime import date, datetime

from sqlalchemy import Connection

from api.doors import Refused
from ledger.day import DayOrderError, current_day
from settlement.night_log import newest_night


def night_begun(conn: Connection, asked: datetime | None) -> date:
    """The day that is asked for, or that of the newest night. Raises Refused where none was begun."""
    found = asked.date() if asked else newest_night(conn)
    if found is None:
        raise Refused("no night has been run yet; `onecard night DATE` runs that of a business day")
    return found


def open_day(conn: Connection, asked: datetime | None) -> date:
    """The day that is asked for, or the one that is open. Raises Refused where none is."""
    try:
        return asked.date() if asked else current_day(conn)
    except DayOrderError as closed:
        raise Refused(f"{closed}: `onecard city open DATE`") from closed
