"""What the finance page asks beyond a night's own summary."""

from datetime import date

from sqlalchemy import Connection, select

from settlement.tables import night_run


def nights(conn: Connection) -> list[date]:
    """The business dates whose night has begun, newest first."""
    return list(conn.scalars(select(night_run.c.business_date).order_by(night_run.c.business_date.desc())))
