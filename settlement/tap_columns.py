"""A night's taps as their statement lists them, in columns: rows that a database sends by themselves cost far more."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import ColumnElement, Connection, Integer, String, func, literal_column, select, type_coerce

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


def tap_columns(conn: Connection, where: ColumnElement[bool]) -> pa.Table:
    """Columns NUMBERS, OTHERS and TEXTS of some taps, by sequence and position."""
    found = (_packed if conn.dialect.name == "postgresql" else _by_row)(conn, where)
    order: Any = np.lexsort((found["position"].to_numpy(), found["sequence"].to_numpy()))
    return pa.table(found).take(order)


def _packed(conn: Connection, where: ColumnElement[bool]) -> dict[str, Any]:
    columns = tap.c
    instants = func.coalesce(columns.event_at, literal_column("timestamptz '-infinity'"))
    numbers = (
        *(packed(conn, columns[name]) for name in NUMBERS),
        packed(conn, func.coalesce(columns.price_fen, _NONE)),
        func.string_agg(func.timestamptz_send(instants), literal_column("''::bytea")),
        packed(conn, columns.business_date.op("-", return_type=Integer())(literal_column(f"date '{EPOCH}'"))),
    )
    texts = (func.string_agg(columns[name], " ") for name in TEXTS)
    values = conn.execute(select(*numbers, *texts).where(where)).one()
    *own, price_fen, event_us, presented_day = map(unpacked, values[: len(numbers)])
    others = (
        pa.array(price_fen, mask=price_fen == _NONE),
        pa.array(event_us + _FROM_2000_US, mask=event_us == _NONE),
        pa.array(presented_day),
    )
    words = map(_words, values[len(numbers) :])
    return dict(zip((*NUMBERS, *OTHERS, *TEXTS), (*map(pa.array, own), *others, *words), strict=True))


def _words(text: str | None) -> Any:
    """The words of a text, which was put together of at least one, or of none."""
    return pc.split_pattern(pa.array([text], pa.string()), " ").flatten()


def _by_row(conn: Connection, where: ColumnElement[bool]) -> dict[str, Any]:
    """The same of a database in this process, which gives dates and instants as texts."""
    columns, names = tap.c, (*NUMBERS, "price_fen", "event_at", "business_date", *TEXTS)
    query = select(
        *(type_coerce(columns[name], String) if name in ("event_at", "business_date") else columns[name]
          for name in names)
    ).where(where)  # fmt: skip
    rows = conn.execute(query).all()
    found = dict(zip(names, zip(*rows, strict=True) if rows else ((),) * len(names), strict=True))
    instants, days = (pa.array(found.pop(name), pa.string()) for name in ("event_at", "business_date"))
    made: dict[str, Any] = {
        name: pa.array(values, pa.string() if name in TEXTS else pa.int64()) for name, values in found.items()
    }
    made["event_us"] = instants.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    made["presented_day"] = days.cast(pa.date32()).cast(pa.int32())
    return made
