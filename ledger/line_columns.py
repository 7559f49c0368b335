"""The lines of a business date as columns, in the order of their entries, a piece at a time.

A row that a database sends by itself costs several times as much as what is in it. So a piece of lines comes as one
row of long values, and the codes of accounts are fetched once and not with each line.
"""

from collections.abc import Iterator
from datetime import date
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Select,
    Table,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    select,
)

from ledger import tables
from ledger.bulk import CHUNK_ROWS
from ledger.ids import numbers_of
from ledger.journal import of_day
from ledger.packed import Numbers, Places, in_key_order, packed, unpacked
from ledger.snapshots import lines_on


class LineColumns(NamedTuple):
    """Lines, of which neighbours may be of one entry; accounts by their codes."""

    entry_id: Numbers
    debit: pa.StringArray
    credit: pa.StringArray
    amount_fen: Numbers
    item: pa.StringArray


class AccountCodes:
    """The codes of all accounts by their numbers, as they are when first asked for; fetched once."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    @cached_property
    def known(self) -> tuple[Places, pa.StringArray]:
        """The place of each number, and the codes by place; for an account that is not there, an empty one."""
        some = list(_pieces(self._conn, tables.account, ("id",), "code", 0, np.iinfo(np.int64).max))
        numbers = np.concatenate([unpacked(ids) for ids, _, _ in some] or [np.empty(0, np.int64)])
        codes = pa.concat_arrays([*(_texts(*texts) for _, *texts in some), pa.array([""], pa.string())])
        return Places(numbers), codes


def lines_of_day(conn: Connection, business_date: date, codes: AccountCodes) -> Iterator[LineColumns]:
    """The lines of a date that name an entry of it, in the order of entries and lines.

    Where lines do not follow their entries, one of an account that is not there is left out.
    """
    start, end = numbers_of(business_date)
    if conn.execute(_disorder(), {"start": start, "end": end}).scalar_one():
        return _by_row(conn, business_date)
    return _packed(conn, business_date, codes)


@cache
def _disorder() -> Select[bool]:
    """Whether lines are not numbered in the order of their entries, as they are in books that nobody has changed."""
    line = tables.line.c
    spans = (
        select(line.entry_id, func.min(line.id).label("first"), func.max(line.id).label("last"))
        .where(line.id > bindparam("start"), line.id < bindparam("end"))
        .group_by(line.entry_id)
        .subquery()
    )
    before = func.lag(spans.c.last).over(order_by=spans.c.entry_id).label("before")
    each = select(spans.c.first, before).subquery().c
    return select(exists().where(each.first < each.before))


def _by_row(conn: Connection, business_date: date) -> Iterator[LineColumns]:
    entry, line = tables.entry.c, tables.line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    query = (
        select(entry.id, line.amount_fen, debit.c.code, credit.c.code, line.item)
        .select_from(
            tables.entry.join(tables.line, line.entry_id == entry.id)
            .join(debit, debit.c.id == line.debit_id)
            .join(credit, credit.c.id == line.credit_id)
        )
        .where(of_day(business_date), lines_on(business_date))
        .order_by(entry.id, line.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )
    for rows in conn.execute(query).partitions():
        entry_id, amount_fen, *texts = zip(*rows, strict=True)
        debits, credits, items = (pa.array(column, pa.string()) for column in texts)
        yield LineColumns(
            np.array(entry_id, np.int64), debits, credits, np.array(amount_fen, np.int64), items
        )


def _packed(conn: Connection, business_date: date, codes: AccountCodes) -> Iterator[LineColumns]:
    start, end = numbers_of(business_date)
    places, of_accounts = codes.known
    numbers = ("entry_id", "amount_fen", "debit_id", "credit_id")
    for *columns, sizes, items in _pieces(conn, tables.line, numbers, "item", start, end):
        entries, amounts, *sides = map(unpacked, columns)
        debits, credits = (of_accounts.take(places.of(side)) for side in sides)
        piece = LineColumns(entries, debits, credits, amounts, _texts(sizes, items))
        ours = (entries > start) & (entries < end)
        yield piece if ours.all() else _of_entries(piece, ours)


def _of_entries(piece: LineColumns, ours: NDArray[np.bool_]) -> LineColumns:
    chosen = pa.array(ours)
    debit, credit, item = (column.filter(chosen) for column in (piece.debit, piece.credit, piece.item))
    return LineColumns(piece.entry_id[ours], debit, credit, piece.amount_fen[ours], item)


def _pieces(
    conn: Connection, table: Table, numbers: tuple[str, ...], name: str, after: int, end: int
) -> Iterator[list[Any]]:
    """Columns of numbers, and one of texts, of the rows numbered between two numbers, each as one value; in pieces.

    The texts come as their sizes in octets, and all of them one behind another.
    """
    piece = _piece(conn.dialect.name, table, numbers, name)
    with in_key_order(conn):
        while True:
            count, last, *found = conn.execute(piece, {"after": after, "end": end, "rows": CHUNK_ROWS}).one()
            if not count:
                return
            yield found
            after = last


@cache
def _piece(dialect: str, table: Table, numbers: tuple[str, ...], name: str) -> Select[*tuple[Any, ...]]:
    """How many rows a piece has, the number of its last, and its columns."""
    rows = (
        select(table)
        .where(table.c.id > bindparam("after"), table.c.id < bindparam("end"))
        .order_by(table.c.id)
        .limit(bindparam("rows", type_=Integer))
    )
    some = rows.subquery().c
    sizes, texts = _sizes_and_texts(dialect, some[name])
    values = (*(packed(dialect, some[number]) for number in numbers), packed(dialect, sizes), texts)
    return select(func.count(), func.max(some.id), *values)


def _sizes_and_texts(dialect: str, column: ColumnElement[str]) -> tuple[ColumnElement[int], Any]:
    if dialect == "postgresql":
        return func.octet_length(column), func.string_agg(
            func.convert_to(column, "UTF8"), literal_column("''::bytea")
        )
    return func.length(cast(column, LargeBinary)), func.group_concat(column, "")


def _texts(sizes: Any, texts: Any) -> Any:
    """Texts of these sizes in octets, which come one behind another."""
    bounds = np.append(np.int32(0), np.cumsum(unpacked(sizes), dtype=np.int32))
    octets = texts.encode() if isinstance(texts, str) else texts
    return pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds.data), pa.py_buffer(octets))
