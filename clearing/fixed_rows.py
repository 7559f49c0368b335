"""Whole tables out of the database without a step per row: every row a line of ASCII, all of one width."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from itertools import chain, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    Table,
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)

from ledger.talk import driver

Lines = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

NUMBER_WIDTH, DAY_WIDTH = 19, 10
_OFFSET = 1 << 62
"""Added to a number before it is written, so that none has a sign and all have as many digits."""
_ROWS = 100_000
_TOGETHER = 1 << 14
"""Rows of a table that SQLite strings together before it hands them over: one by one each is a Python object."""
_NOTHING = literal_column("''", String)
"""What SQLite puts between texts. It strings together twice as fast where it need not ask for that anew."""
_HALVES = np.dtype(
    {"names": ["first", "last"], "formats": ["<u8", "<u8"], "offsets": [0, 2], "itemsize": DAY_WIDTH}
)
"""A date's characters as two words that overlap."""
_POWERS = 10 ** np.arange(NUMBER_WIDTH - 1, -1, -1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a query: a text of `width` characters, a whole number, or a date, which `no_day` stands for if null.

    A text may be shorter only where it is to be `padded` by blanks; texts and numbers are never null.
    """

    column: ColumnElement[Any]
    width: int | None = None  # None: a number or a date
    padded: bool = False
    no_day: date | None = None  # None: no date

    @property
    def characters(self) -> int:
        """How many characters of a line are its own."""
        return self.width or (DAY_WIDTH if self.no_day else NUMBER_WIDTH)

    def read(self, lines: Lines) -> Lines | Numbers:
        """What its part of the lines says."""
        if self.width is not None:
            return lines
        return _days(lines) if self.no_day else _numbers(lines)


def fixed_rows(conn: Connection, query: Select[Any], *fields: Field) -> list[Any]:
    """These fields of a query's rows: texts as n × width ASCII characters, numbers and days since 1970 as int64."""
    written = [_written(conn, field) for field in fields]
    match conn.dialect.name, query.get_final_froms():
        case "sqlite", [Table() as table] if query.whereclause is None:
            columns = _strung_together(conn, query, written, table)
            lines = [
                np.frombuffer(column, np.uint8).reshape(-1, field.characters)
                for column, field in zip(columns, fields, strict=True)
            ]
        case dialect, _:
            chosen = query.with_only_columns(
                reduce(ColumnElement.concat, written), maintain_column_froms=True
            )
            raw = b"".join(_copied(conn, chosen) if dialect == "postgresql" else _one_by_one(conn, chosen))
            ends = np.cumsum([field.characters for field in fields]).tolist()
            table_of = np.frombuffer(raw, np.uint8).reshape(-1, ends[-1])
            lines = np.split(table_of, ends[:-1], axis=1)
    return [field.read(own) for field, own in zip(fields, lines, strict=True)]


def seconds(conn: Connection, instant: ColumnElement[Any]) -> ColumnElement[int]:
    """An instant, or a date's beginning in UTC, as whole seconds since the epoch."""
    if conn.dialect.name == "postgresql":
        return cast(func.floor(func.extract("epoch", instant)), BigInteger)
    return func.unixepoch(func.substr(type_coerce(instant, String), 1, 19))  # or it would round


def texts_of(lines: Lines) -> list[str]:
    """Lines of characters as texts, without the blanks they were padded by."""
    count, width = lines.shape
    whole = np.ascontiguousarray(lines).view(f"S{width}").reshape(count)
    found: list[str] = np.char.rstrip(whole.astype(f"U{width}")).tolist()
    return found


def _written(conn: Connection, field: Field) -> ColumnElement[str]:
    postgresql = conn.dialect.name == "postgresql"
    if field.width is not None:
        if not field.padded:
            return type_coerce(field.column, String)
        if postgresql:
            return func.rpad(field.column, field.width, " ", type_=String)
        return func.printf(f"%-{field.width}s", field.column, type_=String)
    if field.no_day is not None:
        day = func.to_char(field.column, "YYYY-MM-DD") if postgresql else type_coerce(field.column, String)
        none = literal_column(f"'{field.no_day.isoformat()}'", String)
        return func.coalesce(day, none, type_=String)
    number = field.column + literal(_OFFSET, BigInteger)
    return cast(number, String) if postgresql else func.printf("%d", number, type_=String)


def _numbers(lines: Lines) -> Numbers:
    found = np.full(len(lines), -_OFFSET, np.int64)
    for place, power in enumerate(_POWERS):
        found += (lines[:, place] & 15) * power
    return found


def _days(lines: Lines) -> Numbers:
    """Dates YYYY-MM-DD as days since 1970-01-01; neighbours mostly have one date, so each is read where it begins."""
    halves = np.ascontiguousarray(lines).view(_HALVES).ravel()
    first, last = halves["first"], halves["last"]
    differs = (first[1:] != first[:-1]) | (last[1:] != last[:-1])
    begins = np.flatnonzero(np.append(True, differs)[: len(lines)])
    digit = (lines[begins] & 15).astype(np.int32)
    year = digit[:, 0] * 1000 + digit[:, 1] * 100 + digit[:, 2] * 10 + digit[:, 3]
    months = (year - 1970) * 12 + digit[:, 5] * 10 + digit[:, 6] - 1
    months_begin = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    found = months_begin + digit[:, 8] * 10 + digit[:, 9] - 1
    return np.repeat(found, np.diff(begins, append=len(lines)))


def _copied(conn: Connection, query: Select[Any]) -> Iterator[bytes]:
    compiled = query.compile(dialect=conn.dialect, compile_kwargs={"render_postcompile": True})
    statement = f"COPY ({compiled}) TO STDOUT"
    with (
        driver(conn) as connection,
        connection.cursor() as cursor,
        cursor.copy(statement, compiled.params) as copy,
    ):
        for block in copy:
            yield bytes(block).replace(b"\n", b"")


def _strung_together(
    conn: Connection, query: Select[Any], written: Sequence[ColumnElement[str]], table: Table
) -> list[bytes]:
    """The columns of a whole table, some rows at a time; what is chosen by a condition is left to an index."""
    row = literal_column("rowid", Integer)
    last = conn.execute(select(func.max(row)).select_from(table)).scalar() or 0
    strings = (func.group_concat(column, _NOTHING) for column in written)
    strung = query.with_only_columns(*strings, maintain_column_froms=True)
    strung = strung.where(row > bindparam("start"), row <= bindparam("start") + _TOGETHER)
    found = [conn.execute(strung, {"start": start}).one() for start in range(0, last, _TOGETHER)]
    return ["".join(part or "" for part in parts).encode("ascii") for parts in zip(*found, strict=True)] or (
        [b""] * len(written)
    )


def _one_by_one(conn: Connection, query: Select[Any]) -> Iterator[bytes]:
    cursor: Any = conn.execute(query).cursor
    rows: Iterator[str] = chain.from_iterable(cursor)
    while some := "".join(islice(rows, _ROWS)):
        yield some.encode("ascii")
