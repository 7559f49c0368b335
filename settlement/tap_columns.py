"""A night's taps as their statement lists them, in columns: rows that a database sends by themselves cost far more."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    String,
    and_,
    cast,
    func,
    literal_column,
    select,
    type_coerce,
)

from clearing.columns import DAY_S, EPOCH
from clearing.tables import tap
from ledger.packed import packed, unpacked

NUMBERS: Final = (
    "sequence", "position", "ride", "line", "station", "terminal_sequence", "counter", "list_fare_fen",
    "amount_fen", "paid_fen",
)  # fmt: skip
TEXTS: Final = ("terminal", "card_no", "verdict", "money")
"""None of them has a blank in it."""
OTHERS: Final = ("price_fen", "event_s", "presented_day")
"""The price of an unpriced tap, and the instant of one whose time cannot be read, are null.

Instants are in whole seconds, days in days since 1970-01-01.
"""
_NONE: Final = np.iinfo(np.int64).min
"""Stands for no number where a column is packed; an instant that early is what PostgreSQL sends of minus infinity."""
_SECOND_US: Final = 1_000_000
_FROM_2000_S: Final = 946_684_800
"""From where PostgreSQL counts microseconds, in seconds since 1970."""


def tap_columns(
    conn: Connection, operator: str, batches: tuple[int, int], where: ColumnElement[bool]
) -> pa.Table:
    """Columns NUMBERS, OTHERS and TEXTS of some of an operator's taps, by sequence and position.

    `batches` are the first and the last whose taps are meant; `where` is a further condition on `tap`.
    """
    columns = tap.c
    event_at, a_second, from_s = _packed_instants(conn)
    numbers = (
        *(packed(conn.dialect.name, columns[name]) for name in NUMBERS),
        packed(conn.dialect.name, func.coalesce(columns.price_fen, _NONE)),
        event_at,
        packed(conn.dialect.name, _days(conn)),
    )
    texts = (func.aggregate_strings(columns[name], " ") for name in TEXTS)
    values = conn.execute(select(*numbers, *texts).where(_of_batches(conn, operator, batches), where)).one()
    *own, prices, instants, days = map(unpacked, values[: len(numbers)])
    found = (
        *map(pa.array, own),
        pa.array(prices, mask=prices == _NONE),
        pa.array(instants // a_second + from_s, mask=instants == _NONE),
        pa.array(days),
        *map(_words, values[len(numbers) :]),
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


def _packed_instants(conn: Connection) -> tuple[ColumnElement[Any], int, int]:
    """When taps were made, packed as the database counts: how much a second is, and from which second on."""
    if conn.dialect.name == "postgresql":
        instants = func.coalesce(tap.c.event_at, literal_column("timestamptz '-infinity'"))
        return (
            func.string_agg(func.timestamptz_send(instants), literal_column("''::bytea")),
            _SECOND_US,
            _FROM_2000_S,
        )
    # SQLite would round what comes after the second.
    seconds = _epoch_s(func.substr(type_coerce(tap.c.event_at, String), 1, 19))
    return packed(conn.dialect.name, func.coalesce(seconds, _NONE)), 1, 0


def _days(conn: Connection) -> ColumnElement[int]:
    """When taps were first presented."""
    if conn.dialect.name == "postgresql":
        return tap.c.business_date.op("-", return_type=Integer())(literal_column(f"date '{EPOCH}'"))
    return _epoch_s(type_coerce(tap.c.business_date, String)) // DAY_S


def _epoch_s(text: ColumnElement[str]) -> ColumnElement[int]:
    """Seconds since the epoch of a date or a time in UTC, of SQLite."""
    return cast(func.strftime("%s", text), BigInteger)


def _words(text: str | None) -> Any:
    """The words of a text, which was put together of at least one, or of none."""
    return pc.split_pattern(pa.array([text], pa.string()), " ").flatten()
