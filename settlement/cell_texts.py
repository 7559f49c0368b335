"""Cells of a report as the database writes them itself, so that no program need touch each row.

Each is an SQL expression with the text that `settlement.statement_lines` would make of the same value in Python.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    String,
    case,
    cast,
    func,
    literal,
    literal_column,
    type_coerce,
)

from clearing.columns import CITY_OFFSET_S
from clearing.wire.ride import Ride

_EMPTY: Final[ColumnElement[str]] = literal_column("''", String)
_COMMA: Final[ColumnElement[str]] = literal_column("','", String)
_POINT: Final[ColumnElement[str]] = literal_column("'.'", String)
_MINUS: Final[ColumnElement[str]] = literal_column("'-'", String)


def joined_cells(cells: Sequence[ColumnElement[str]]) -> ColumnElement[str]:
    """Cells with commas between them; they need no quotes."""
    return reduce(lambda left, right: left + _COMMA + right, cells)


def yuan_text(amount_fen: ColumnElement[int]) -> ColumnElement[str]:
    """Fen as yuan with two decimals, as `settlement.bank_files.decimal_yuan` has it; null stays null."""
    size = func.abs(amount_fen, type_=BigInteger)
    sign = case((amount_fen < 0, _MINUS), else_=_EMPTY)
    whole = cast(size // 100, String)
    return sign + whole + _POINT + cast(size // 10 % 10, String) + cast(size % 10, String)


def city_time_text(conn: Connection, instant: ColumnElement[Any]) -> ColumnElement[str]:
    """An instant on the city's clock to the second; empty where there is none."""
    if conn.dialect.name == "postgresql":
        local = func.timezone(timedelta(seconds=CITY_OFFSET_S), instant)
        # Half the time of a format.
        text: ColumnElement[str] = cast(func.date_trunc("second", local), String)
    else:
        # SQLite would round what comes after the second.
        whole = func.substr(type_coerce(instant, String), 1, 19)
        text = func.strftime("%Y-%m-%d %H:%M:%S", whole, f"+{CITY_OFFSET_S} seconds")
    return func.coalesce(text, _EMPTY)


def ride_text(ride: ColumnElement[int]) -> ColumnElement[str]:
    """The name of a kind of ride; the number where a malformed record holds none."""
    names = {int(one): literal_column(f"'{one.name.lower()}'", String) for one in Ride}
    return case(names, value=ride, else_=cast(ride, String))


def date_text(day: ColumnElement[Any], mostly: date) -> ColumnElement[str]:
    """A date as ISO 8601 has it; nearly all of them are one."""
    return case((day == mostly, literal(mostly.isoformat(), String)), else_=_iso(day))


def _iso(day: ColumnElement[Any]) -> ColumnElement[str]:
    # Both databases write dates so unless told otherwise.
    return cast(day, String)
