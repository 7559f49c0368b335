"""The lines behind what a participant is owed: taps, rides on riders' codes, online payments.

Each kind is a generator of rows under its own columns, fetched as they are used; amounts are cells in yuan. Card taps,
of which there may be millions, come as text as well, which is made in columns.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from itertools import groupby
from operator import add, itemgetter
from typing import Any, Final, NamedTuple

import pyarrow as pa
from sqlalchemy import Connection, Table, and_, func, or_, select
from sqlalchemy.sql.elements import ColumnElement

from clearing.online.qr_tables import qr_ride
from clearing.online.totals import participant_lines
from clearing.tables import tap
from clearing.wire.bcd import CITY_ZONE
from clearing.wire.names import batch_name, qr_batch_name
from clearing.wire.ride import Ride
from ledger.snapshots import total_fen
from settlement.cell_texts import (
    city_time_texts,
    date_texts,
    each_once,
    joined_cells,
    number_texts,
    yuan_texts,
)
from settlement.files import CSV_END, harmless
from settlement.tap_columns import tap_columns
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
_FETCH_ROWS: Final = 10_000
_READ_ROWS: Final = 200_000
"""Taps of small batches that are read together: those of many lie side by side on each page, being kept by card."""


class RideTotal(NamedTuple):
    """Rides of one kind, verdict and money: how many, what was presented and what is paid, in fen."""

    ride: int
    verdict: str
    money: str
    rides: int
    presented_fen: int
    paid_fen: int


@dataclass(frozen=True, slots=True)
class Rides:
    """An operator's card taps, or its rides on riders' codes, of one night: their totals, and those of each batch.

    Batches are in the order of their sequence numbers, each with how many rides of it are among them.
    """

    batches: Mapping[int, int] = field(default_factory=dict)
    totals: Sequence[RideTotal] = ()


def night_rides(table: Table, conn: Connection, business_date: date) -> dict[str, Rides]:
    """What of `tap` or `qr_ride` this night was shown or decided, by operator: by ride, verdict and money."""
    keys = (table.c.operator, table.c.sequence, table.c.ride, table.c.verdict, table.c.money)
    query = (
        select(*keys, func.count(), total_fen(table.c.amount_fen), total_fen(table.c.paid_fen))
        .where(of_night(table, business_date))
        .group_by(*keys)
        .order_by(*keys)
    )
    found: dict[str, Rides] = {}
    for operator, rows in groupby(conn.execute(query), key=itemgetter(0)):
        batches = Counter[int]()
        sums: dict[tuple[int, str, str], tuple[int, ...]] = {}
        for _, sequence, ride, verdict, money, *own in rows:
            batches[sequence] += own[0]
            before = sums.get((ride, verdict, money), (0, 0, 0))
            sums[ride, verdict, money] = tuple(map(add, before, own))
        totals = [RideTotal(*key, *sums[key]) for key in sorted(sums)]
        found[operator] = Rides(batches, totals)
    return found


def tap_lines(
    conn: Connection, operator: str, batches: Mapping[int, int], business_date: date, most: int
) -> Iterator[tuple[Cell, ...]]:
    """The first rows of TAP_COLUMNS in the order of presentment, as cells."""
    table = tap.c
    query = (
        select(
            table.sequence, table.position, table.event_at, table.ride, table.line, table.station,
            table.terminal, table.terminal_sequence, table.card_no, table.counter, table.list_fare_fen,
            table.amount_fen, table.price_fen, table.paid_fen, table.verdict, table.money,
            table.business_date,
        )
        .where(table.operator == operator, of_night(tap, business_date))
        .order_by(table.position)
    )  # fmt: skip
    for sequence in batches:
        rows = conn.execute(query.where(table.sequence == sequence).limit(most)).all()
        most -= len(rows)
        for row in rows:
            yield (
                *_place(batch_name(operator, row.sequence), row),
                row.card_no,
                row.counter,
                Yuan(row.list_fare_fen),
                *_outcome(row),
            )
        if not most:
            return


def tap_texts(
    conn: Connection, operator: str, batches: Mapping[int, int], business_date: date
) -> Iterator[str]:
    """All rows of TAP_COLUMNS in the order of presentment as a CSV file has them, some thousands at a time.

    They are made in columns; none of what is in them needs a quote.
    """
    for several in _read_together(batches):
        taps = tap_columns(conn, operator, several, of_night(tap, business_date))
        for start in range(0, taps.num_rows, _FETCH_ROWS):
            rows = _texts_of(operator, taps.slice(start, _FETCH_ROWS))
            yield CSV_END.join([*rows.to_pylist(), ""])


def _texts_of(operator: str, taps: pa.Table) -> Any:
    """Rows of TAP_COLUMNS, a text each."""
    column = {name: taps[name].combine_chunks() for name in taps.column_names}
    return joined_cells(
        [
            each_once(column["sequence"], partial(batch_name, operator)),
            number_texts(column["position"]),
            city_time_texts(column["event_s"]),
            each_once(column["ride"], ride_name),
            *(number_texts(column[name]) for name in ("line", "station")),
            column["terminal"],
            number_texts(column["terminal_sequence"]),
            column["card_no"],
            number_texts(column["counter"]),
            *(yuan_texts(column[f"{name}_fen"]) for name in ("list_fare", "amount", "price", "paid")),
            *(column[name] for name in ("verdict", "money")),
            date_texts(column["presented_day"]),
        ]
    )


def _read_together(batches: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The first and the last of batches that have _READ_ROWS together, or of one that has more."""
    some: list[int] = []
    rows = 0
    for sequence, count in batches.items():
        if some and rows + count > _READ_ROWS:
            yield some[0], some[-1]
            some, rows = [], 0
        some.append(sequence)
        rows += count
    if some:
        yield some[0], some[-1]


def code_lines(conn: Connection, operator: str, business_date: date) -> Iterator[tuple[Cell, ...]]:
    """Rows of CODE_COLUMNS in the order of presentment; a code says which it was, and not whose."""
    columns = qr_ride.c
    query = (
        select(qr_ride)
        .where(columns.operator == operator, of_night(qr_ride, business_date))
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


def of_night(table: Table, business_date: date) -> ColumnElement[bool]:
    """The condition on `tap` or `qr_ride` that a night was shown the ride, or decided it."""
    columns = table.c
    # No ride is decided before it is shown, so the first half changes nothing; but it has an index.
    return and_(
        columns.decided_on >= business_date,
        or_(columns.business_date == business_date, columns.decided_on == business_date),
    )
