"""Many rows at once: a bounded number of statements however many rows there are."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    any_,
    bindparam,
    func,
    select,
)

CHUNK_ROWS = 50_000


def insert_rows(conn: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert rows, each with a value for every column of `table` in order, however many."""
    prepared = _bound(conn, table, rows)
    if conn.dialect.name == "postgresql":
        names = ", ".join(column.name for column in table.columns)
        with (
            _driver(conn).cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy,
        ):
            for row in prepared:
                copy.write_row(row)
        return
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


def _driver(conn: Connection) -> Any:
    return conn.connection.driver_connection


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
