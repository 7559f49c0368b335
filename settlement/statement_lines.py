"""The lines behind what a participant is owed: taps, rides on riders' codes, online payments.

Each kind is a generator of rows under its own columns, fetched as they are used; amounts are cells in yuan.
"""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Table, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from clearing.online.qr_tables import qr_ride
from clearing.online.totals import participant_lines
from clearing.tables import tap
from clearing.wire.batch import batch_name
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.qr_batch import qr_batch_name
from clearing.wire.record import Ride
from ledger.snapshots import total_fen
from settlement.files import harmless
from settlement.workbook import Cell, Yuan

SUMMARY_COLUMNS: Final = ("ride", "verdict", "money", "taps", "presented yuan", "paid yuan")
TAP_COLUMNS: Final = (
    "file", "record", "time", "ride", "line", "station", "terminal", "terminal sequence", "card", "counter",
    "list fare yuan", "presented yuan", "tariff yuan", "paid yuan", "verdict", "money", "first presented",
)  # fmt: skip
CODE_COLUMNS: Final = (
    "file", "record", "time", "ride", "line", "station", "terminal", "terminal sequence", "code",
    "presented yuan", "tariff yuan", "paid yuan", "verdict", "money", "first presented",
)  # fmt: skip
PAYMENT_COLUMNS: Final = (
    "time", "what", "reference", "payment", "kind", "channel", "gross yuan", "gone back yuan", "net yuan",
)  # fmt: skip
ON_CODE: Final = " on a code"
"""What the summary says after the kind of a ride that was taken on a rider's code."""
_FETCH_ROWS: Final = 5_000


def operators_of(conn: Connection, business_date: date) -> list[str]:
    """Operators with a tap or a ride on a code that this night was shown or decided."""
    return sorted(
        {
            operator
            for table in (tap, qr_ride)
            for operator in conn.scalars(
                select(table.c.operator).where(_of_night(table, business_date)).distinct()
            )
        }
    )


def ride_totals(
    table: Table, conn: Connection, operator: str, business_date: date
) -> list[tuple[int, str, str, int, int, int]]:
    """The night's rides of one operator in `tap` or `qr_ride` by ride, verdict and money: count, fen, paid fen."""
    keys = (table.c.ride, table.c.verdict, table.c.money)
    query = (
        select(*keys, func.count(), total_fen(table.c.amount_fen), total_fen(table.c.paid_fen))
        .where(table.c.operator == operator, _of_night(table, business_date))
        .group_by(*keys)
        .order_by(*keys)
    )
    return [
        (ride, verdict, money, count, presented_fen, paid_fen)
        for ride, verdict, money, count, presented_fen, paid_fen in conn.execute(query)
    ]


def tap_lines(conn: Connection, operator: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of TAP_COLUMNS in the order of presentment."""
    table = tap.c
    query = (
        select(
            table.sequence, table.position, table.event_at, table.ride, table.line, table.station,
            table.terminal, table.terminal_sequence, table.card_no, table.counter, table.list_fare_fen,
            table.amount_fen, table.price_fen, table.paid_fen, table.verdict, table.money,
            table.business_date,
        )
        .where(table.operator == operator, _of_night(tap, business_date))
        .order_by(table.sequence, table.position)
    )  # fmt: skip
    for row in conn.execute(query, execution_options={"stream_results": True, "yield_per": _FETCH_ROWS}):
        yield (
            *_place(batch_name(operator, row.sequence), row),
            row.card_no,
            row.counter,
            Yuan(row.list_fare_fen),
            *_outcome(row),
        )


def code_lines(conn: Connection, operator: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of CODE_COLUMNS in the order of presentment; a code says which it was, and not whose."""
    columns = qr_ride.c
    query = (
        select(qr_ride)
        .where(columns.operator == operator, _of_night(qr_ride, business_date))
        .order_by(columns.sequence, columns.position)
    )
    for row in conn.execute(query, execution_options={"stream_results": True, "yield_per": _FETCH_ROWS}):
        name = qr_batch_name(operator, row.sequence)
        yield (*_place(name, row), f"{row.serial}:{row.nonce}", *_outcome(row))


def payment_lines(conn: Connection, participant: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of PAYMENT_COLUMNS in the order of booking; a participant sees references, and not who paid."""
    for one in participant_lines(conn, participant, business_date):
        texts = (one.happening.value, one.reference, one.payment, one.kind, one.channel.value)
        yield (
            city_time(one.event_at),
            *map(str, harmless(texts)),
            Yuan(one.gross_fen),
            Yuan(one.refunded_fen),
            Yuan(one.net_fen),
        )


def _place(file: str, row: Any) -> tuple[Cell, ...]:
    """Where a ride was presented and taken."""
    when, ride = city_time(row.event_at), ride_name(row.ride)
    return (
        file, row.position, when, ride, row.line, row.station, row.terminal, row.terminal_sequence,
    )  # fmt: skip


def _outcome(row: Any) -> tuple[Cell, ...]:
    """What became of a ride's money."""
    price = "" if row.price_fen is None else Yuan(row.price_fen)
    amounts = (Yuan(row.amount_fen), price, Yuan(row.paid_fen))
    return (*amounts, row.verdict, row.money, row.business_date.isoformat())


def ride_name(ride: int) -> str:
    """`bus`, `metro_entry`, `metro_exit`; the number where a malformed record holds no ride."""
    return Ride(ride).name.lower() if ride in tuple(Ride) else str(ride)


def city_time(instant: datetime | None) -> str:
    """An instant on the city's clock, `2018-09-01 08:15:00`; empty where the record's time is unreadable."""
    return instant.astimezone(CITY_ZONE).strftime("%Y-%m-%d %H:%M:%S") if instant else ""


def _of_night(table: Table, business_date: date) -> ColumnElement[bool]:
    return or_(table.c.business_date == business_date, table.c.decided_on == business_date)
