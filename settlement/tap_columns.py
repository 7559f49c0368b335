"""A night's taps as their statement lists them, in columns: rows that a database sends by themselves cost far more."""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    String,
    and_,
    func,
    literal_column,
    select,
    type_coerce,
)

from clearing.columns import EPOCH
from clearing.tables import tap
from ledger.packed import packed, unpacked

NUMBERS: Final = (
    "sequence", "position", "ride", "line", "station", "terminal_sequence", "counter", "list_fare_fen",
    "amount_fen", "paid_fen",
)  # fmt: skip
TEXTS: Final = ("terminal", "card_no", "verdict", "money")
"""None of them has a blank in it."""
OTHERS: Final = ("price_fen", "event_us", "presented_day")
"""The price of an unpriced tap, and the instant of one whose time cannot be read, are null.

Instants are in microseconds, days in days since 1970-01-01.
"""
_NONE: Final = np.iinfo(np.int64).min
"""Stands for no number where a column is packed; an instant that early is what PostgreSQL sends of minus infinity."""
_FROM_2000_US: Final = 946_684_800_000_000
"""From where PostgreSQL counts microseconds, in those since 1970."""


def tap_columns(
    conn: Connection, operator: str, batches: tuple[int, int], where: ColumnElement[bool]
) -> pa.Table:
    """Columns NUMBERS, OTHERS and TEXTS of some of an operator's taps, by sequence and position.

    `batches` are the first and the last whose taps are meant; `where` is a further condition on `tap`.
    """
    columns = tap.c
    moments = _in_postgresql(conn) if conn.dialect.name == "postgresql" else _IN_SQLITE
    numbers = [*(columns[name] for name in NUMBERS), func.coalesce(columns.price_fen, _NONE)]
    query = select(
        *(packed(conn, column) for column in numbers),
        *moments.asked,
        *(func.aggregate_strings(columns[name], " ") for name in TEXTS),
    ).where(_of_batches(conn, operator, batches), where)
    values = conn.execute(query).one()
    *own, price_fen = map(unpacked, values[: len(numbers)])
    event_us, presented_day = moments.told(*values[len(numbers) : -len(TEXTS)])
    found = (
        *map(pa.array, own),
        pa.array(price_fen, mask=price_fen == _NONE),
        event_us,
        presented_day,
        *map(_words, values[-len(TEXTS) :]),
    )
    order: Any = np.lexsort((own[NUMBERS.index("position")], own[NUMBERS.index("sequence")]))
    return pa.table(dict(zip((*NUMBERS, *OTHERS, *TEXTS), found, strict=True))).take(order)


def _of_batches(conn: Connection, operator: str, batches: tuple[int, int]) -> ColumnElement[bool]:
    """The condition that a tap is of these batches.

    SQLite would fetch taps along their key from all over the table, where they lie by card: it is told to collect the
    numbers of their rows first, which it takes in order then.
    """
    those = tap if conn.dialect.name == "postgresql" else tap.alias("those")
    found = and_(those.c.operator == operator, those.c.sequence.between(*batches))
    if those is tap:
        return found
    rows = select(literal_column("those.rowid", Integer)).select_from(those).where(found)
    return literal_column("tap.rowid", Integer).in_(rows)


class _Moments(NamedTuple):
    """How a database is asked for when taps were made and first presented, and what its answer comes to."""

    asked: Sequence[ColumnElement[Any]]
    told: Callable[[Any, Any], tuple[Any, Any]]


def _in_postgresql(conn: Connection) -> _Moments:
    instants = func.coalesce(tap.c.event_at, literal_column("timestamptz '-infinity'"))
    days = tap.c.business_date.op("-", return_type=Integer())(literal_column(f"date '{EPOCH}'"))

    def told(instants: bytes | None, days: bytes | None) -> tuple[Any, Any]:
        at_us = unpacked(instants)
        return pa.array(at_us + _FROM_2000_US, mask=at_us == _NONE), pa.array(unpacked(days))

    asked = (
        func.string_agg(func.timestamptz_send(instants), literal_column("''::bytea")),
        packed(conn, days),
    )
    return _Moments(asked, told)


def _told_by_sqlite(instants: str | None, days: str | None) -> tuple[Any, Any]:
    at, day = _words(instants), _words(days)
    unknown: Any = pc.equal(at, pa.scalar("-"))
    at_us = pc.if_else(unknown, None, at).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return at_us, day.cast(pa.date32()).cast(pa.int32())


_IN_SQLITE: Final = _Moments(
    (
        func.aggregate_strings(func.coalesce(type_coerce(tap.c.event_at, String), "-"), " "),
        func.aggregate_strings(type_coerce(tap.c.business_date, String), " "),
    ),
    _told_by_sqlite,
)


def _words(text: str | None) -> Any:
    """The words of a text, which was put together of at least one, or of none."""
    return pc.split_pattern(pa.array([text], pa.string()), " ").flatten()
