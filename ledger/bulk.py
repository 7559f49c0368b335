"""Many rows at once: a bounded number of statements however many rows there are."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    any_,
    bindparam,
    func,
    select,
)
from sqlalchemy.types import TypeEngine

from ledger.db import Instant
from ledger.talk import driver

CHUNK_ROWS = 50_000


def insert_rows(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows, each with a value for every column of `table` in order, however many."""
    if conn.dialect.name == "postgresql":
        names = ", ".join(column.name for column in table.columns)
        copy_into(conn, f"{table.name} ({names}) FROM STDIN", _copy_texts(table, rows))
        return
    prepared = _bound(conn, table, rows)
    statement = str(table.insert().compile(dialect=conn.dialect))
    while chunk := list(islice(prepared, CHUNK_ROWS)):
        conn.exec_driver_sql(statement, chunk)


def one_of(conn: Connection, column: ColumnElement[str], texts: Sequence[str]) -> ColumnElement[bool]:
    """The condition that `column` holds one of any number of texts, sent as a single parameter."""
    if conn.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(texts), ARRAY(Text)))
    # SQLite takes the list as JSON; escaped as ASCII, whatever is in a text arrives as it was.
    listed = func.json_each(json.dumps(list(texts))).table_valued("value")
    return column.in_(select(listed.c.value))


def one_of_numbers(
    conn: Connection, column: ColumnElement[int], numbers: Sequence[int]
) -> ColumnElement[bool]:
    """The condition that `column` holds one of any number of whole numbers, sent as a single parameter."""
    if conn.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(numbers), ARRAY(BigInteger)))
    listed = func.json_each(json.dumps(list(numbers))).table_valued("value")
    return column.in_(select(listed.c.value))


def copy_into(conn: Connection, table: str, texts: Iterable[str | bytes | memoryview]) -> None:
    """Give rows to PostgreSQL's COPY; `table` may name columns and options too."""
    with driver(conn) as connection, connection.cursor() as cursor, cursor.copy(f"COPY {table}") as copy:
        for text in texts:
            copy.write(text)


def count_anew(conn: Connection, *tables: str) -> None:
    """Have PostgreSQL look at samples of tables that were just filled; how it finds rows depends on what it knows.

    It does so by itself some time later. Until then it takes them for nearly empty, and a join of two looks up each
    row by its key; so it does the rows of a new day, however many days it knows. It counts six thousand rows of each,
    which is enough to tell many from few.
    """
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET LOCAL default_statistics_target = 20")
        for table in tables:
            conn.exec_driver_sql(f"ANALYZE {table}")
        conn.exec_driver_sql("SET LOCAL default_statistics_target TO DEFAULT")


def _copy_texts(table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """Rows as COPY reads them in its text format; made column by column, as most are of one kind throughout."""
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK_ROWS)):
        columns = [
            _copy_column(column, values)
            for column, values in zip(table.columns, zip(*chunk, strict=True), strict=True)
        ]
        yield "\n".join(map("\t".join, zip(*columns, strict=True))) + "\n"


def _copy_column(column: Column[Any], values: Sequence[Any]) -> Iterable[str]:
    if None in values:
        there = iter(_copy_column(column, [value for value in values if value is not None]))
        return ["\\N" if value is None else next(there) for value in values]
    for kind, write in _WRITERS.items():
        if isinstance(column.type, kind):
            return write(values)
    raise TypeError(f"column {column} of {column.type!r} is of no kind that rows are copied as")


def _plain(texts: Sequence[str]) -> Sequence[str]:
    together = "".join(texts)
    if "\\" not in together and together.isprintable():
        return texts
    return [text.translate(_ESCAPES) for text in texts]


def _instants(instants: Sequence[datetime]) -> Iterable[str]:
    # Most are the instant of one booking.
    texts = {at: _instant(at) for at in set(instants)}
    return map(texts.__getitem__, instants)


def _instant(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError(f"instant {at!r} has no time zone; give a UTC-aware datetime")
    return at.astimezone(UTC).isoformat()


_ESCAPES: Mapping[int, str] = {ord("\\"): "\\\\", ord("\t"): "\\t", ord("\n"): "\\n", ord("\r"): "\\r"}
_WRITERS: Mapping[type[TypeEngine[Any]], Callable[[Sequence[Any]], Iterable[str]]] = {
    Integer: lambda numbers: map(str, numbers),
    String: _plain,
    LargeBinary: lambda octets: ["\\\\x" + one.hex() for one in octets],
    Instant: _instants,
    Date: lambda dates: map(date.isoformat, dates),
    Boolean: lambda flags: ["t" if flag else "f" for flag in flags],
}


def _bound(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Rows as the driver takes them: dates, instants and bytes in the form of this database."""
    processors: list[tuple[int, Callable[[Any], Any]]] = []
    for position, column in enumerate(table.columns):
        processor: Callable[[Any], Any] | None = column.type.dialect_impl(conn.dialect).bind_processor(
            conn.dialect
        )
        if processor is not None:
            processors.append((position, processor))
    if not processors:
        yield from rows
        return
    for row in rows:
        values = list(row)
        for position, processor in processors:
            values[position] = processor(values[position])
        yield tuple(values)
