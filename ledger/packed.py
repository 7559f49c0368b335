"""Whole columns of numbers as one value each: a row that a database sends by itself costs more than what is in it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select, text

Numbers = NDArray[np.int64]

ROWS_AT_ONCE: Final = 200_000


def packed(conn: Connection, column: ColumnElement[int]) -> ColumnElement[Any]:
    """All numbers of a column, none of them null, as one value; those of other columns come in the same order."""
    if conn.dialect.name == "postgresql":
        return func.string_agg(func.int8send(column), literal_column("''::bytea"))
    return func.group_concat(column)


def unpacked(value: Any) -> Numbers:
    """The numbers that were packed; of no rows, none."""
    if isinstance(value, str):
        return np.fromstring(value, np.int64, sep=",")
    return np.frombuffer(value or b"", ">i8").astype(np.int64)


def numbers_in_turn(conn: Connection, rows: Select[Any], key: str, after: int) -> Iterator[list[Numbers]]:
    """The columns of rows, all of them whole numbers, in pieces and in the order of one that is unique.

    Those come whose `key` is above `after`; `rows` are neither ordered nor limited.
    """
    columns = rows.subquery().c
    in_key_order(conn)
    while True:
        some = (
            select(*columns).where(columns[key] > after).order_by(columns[key]).limit(ROWS_AT_ONCE).subquery()
        )
        values = conn.execute(select(*(packed(conn, column) for column in some.c))).one()
        found = [unpacked(value) for value in values]
        place = list(columns.keys()).index(key)
        if not len(found[place]):
            in_key_order(conn, "on")
            return
        yield found
        after = int(found[place][-1])


def in_key_order(conn: Connection, sort: str = "off") -> None:
    """Let PostgreSQL find the rows of a piece along their key, or (`on`) sort again as it likes.

    Of a table that has just been filled it knows too little, and would read and sort all of it for each piece.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text(f"SET LOCAL enable_sort = {sort}"))


def numbers_by_name(
    conn: Connection, name: ColumnElement[str], *numbers: ColumnElement[int], where: ColumnElement[bool]
) -> Mapping[str, list[Numbers]]:
    """Columns of numbers by the name that their row has, which few names are."""
    query = select(name, *(packed(conn, column) for column in numbers)).where(where).group_by(name)
    return {found: [unpacked(value) for value in values] for found, *values in conn.execute(query)}


def places_among(known: Numbers, wanted: Numbers) -> Numbers:
    """Where numbers are among those that are known, which rise; one past the last for those that are not there."""
    places = np.searchsorted(known, wanted)
    return np.where(np.append(known, 0)[places] == wanted, places, len(known))
