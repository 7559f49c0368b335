"""What was cleared on a business date, by operator and ride."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, func, select

from clearing.tables import tap
from clearing.verdict import Money
from clearing.wire.ride import Ride


@dataclass(frozen=True, slots=True)
class RideTotal:
    """Paid taps of one operator and kind of ride: how many, their list fares, what was paid for them."""

    operator: str
    ride: Ride
    taps: int
    list_fen: int
    paid_fen: int


def cleared_totals(conn: Connection, business_date: date) -> list[RideTotal]:
    """Totals of the taps decided on `business_date` and paid, by operator and ride."""
    columns = tap.c
    query = (
        select(
            columns.operator,
            columns.ride,
            func.count(),
            func.sum(columns.list_fare_fen),
            func.sum(columns.paid_fen),
        )
        .where(columns.decided_on == business_date, columns.money == Money.PAID.value)
        .group_by(columns.operator, columns.ride)
        .order_by(columns.operator, columns.ride)
    )
    return [
        RideTotal(operator, Ride(ride), taps, int(list_fen), int(paid_fen))
        for operator, ride, taps, list_fen, paid_fen in conn.execute(query)
    ]
