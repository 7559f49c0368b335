"""Whole columns of numbers as one value each: a row that a database sends by itself costs more than what is in it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, select

from ledger.questions import without

Numbers = NDArray[np.int64]

ROWS_AT_ONCE: Final = 200_000
_CLOSE: Final = 4
"""So many times as many numbers as are known may lie between the first and the last of them."""


def packed(dialect: str, column: ColumnElement[int]) -> ColumnElement[Any]:
    """All numbers of a column, none of them null, as one value; those of other columns come in the same order."""
    if dialect == "postgresql":
        return func.string_agg(func.int8send(column), literal_column("''::bytea"))
    return func.group_concat(column)


def unpacked(value: Any) -> Numbers:
    """The numbers that were packed; of no rows, none."""
    if isinstance(value, str):
        return np.fromstring(value, np.int64, sep=",")
    return np.frombuffer(value or b"", ">i8").astype(np.int64)


def numbers_in_turn(
    conn: Connection, rows: Callable[[int], Select[Any]], key: str, after: int
) -> Iterator[list[Numbers]]:
    """The columns of rows, all of them whole numbers, in pieces and in the order of one that is unique.

    `rows` gives those whose `key` is above a number, neither ordered nor limited: above `after` at first, then above
    the last that has come.
    """
    with in_key_order(conn):
        while True:
            columns = rows(after).subquery().c
            some = select(*columns).order_by(columns[key]).limit(ROWS_AT_ONCE).subquery()
            values = conn.execute(select(*(packed(conn.dialect.name, column) for column in some.c))).one()
            found = [unpacked(value) for value in values]
            place = list(columns.keys()).index(key)
            if not len(found[place]):
                return
            yield found
            after = int(found[place][-1])


def in_key_order(conn: Connection) -> AbstractContextManager[None]:
    """Let PostgreSQL find the rows of a piece along their key, and not sort.

    Of a table that has just been filled it knows too little, and would read and sort all of it for each piece.
    """
    return without(conn, "sort")


def numbers_by_name(
    conn: Connection, name: ColumnElement[str], *numbers: ColumnElement[int], where: ColumnElement[bool]
) -> Mapping[str, list[Numbers]]:
    """Columns of numbers by the name that their row has, which few names are."""
    query = (
        select(name, *(packed(conn.dialect.name, column) for column in numbers)).where(where).group_by(name)
    )
    return {found: [unpacked(value) for value in values] for found, *values in conn.execute(query)}


class Places:
    """Where numbers are among those that are known, which rise; one past the last for those that are not there.

    Known numbers that lie close together, as those of accounts do, are looked up in a table, others searched for: in
    millions of them that takes twenty times as long.
    """

    def __init__(self, known: Numbers) -> None:
        self.known = known
        self._first = int(known[0]) if len(known) else 0
        span = int(known[-1]) - self._first + 1 if len(known) else 0
        self._table: Numbers | None = None
        if 0 < span <= _CLOSE * len(known):
            self._table = np.full(span + 1, len(known), np.int64)
            self._table[known - self._first] = np.arange(len(known))

    def of(self, wanted: Numbers) -> Numbers:
        """The place of each of some numbers."""
        if self._table is None:
            places = np.searchsorted(self.known, wanted)
            return np.where(np.append(self.known, 0)[places] == wanted, places, len(self.known))
        beyond = len(self._table) - 1
        off = wanted - self._first
        return self._table[np.where((off >= 0) & (off < beyond), off, beyond)]
