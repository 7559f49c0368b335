"""The lines of a business date as columns, in the order of their entries, a piece at a time.

A row that PostgreSQL sends by itself costs several times as much as what is in it. So a piece of lines comes as one
row of long values, and the codes of accounts are fetched once and not with each line.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, TextClause, exists, func, select, text

from ledger import tables
from ledger.bulk import CHUNK_ROWS
from ledger.ids import numbers_of
from ledger.journal import of_day
from ledger.packed import Numbers, Places, in_key_order, unpacked
from ledger.snapshots import lines_on


class LineColumns(NamedTuple):
    """Lines, of which neighbours may be of one entry; accounts by their codes."""

    entry_id: Numbers
    debit: pa.StringArray
    credit: pa.StringArray
    amount_fen: Numbers
    item: pa.StringArray


def lines_of_day(conn: Connection, business_date: date) -> Iterator[LineColumns]:
    """The lines of a date that name an entry of it, in the order of entries and lines.

    Of an account that is not there the code is empty, or on SQLite the line is left out.
    """
    if conn.dialect.name == "postgresql" and _follow_entries(conn, business_date):
        return _packed(conn, business_date)
    return _by_row(conn, business_date)


def _follow_entries(conn: Connection, business_date: date) -> bool:
    """Whether lines are numbered in the order of their entries, as in books that nobody has changed."""
    line = tables.line.c
    spans = (
        select(line.entry_id, func.min(line.id).label("first"), func.max(line.id).label("last"))
        .where(lines_on(business_date))
        .group_by(line.entry_id)
        .subquery()
    )
    before = func.lag(spans.c.last).over(order_by=spans.c.entry_id).label("before")
    each = select(spans.c.first, before).subquery().c
    return not conn.execute(select(exists().where(each.first < each.before))).scalar_one()


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


_LINES: Final = text(
    "SELECT count(*), max(id), string_agg(int8send(entry_id), ''), string_agg(int8send(amount_fen), ''),"
    " string_agg(int8send(debit_id), ''), string_agg(int8send(credit_id), ''),"
    " string_agg(int4send(octet_length(item)), ''), string_agg(convert_to(item, 'UTF8'), '')"
    " FROM (SELECT * FROM ledger_line WHERE id > :after AND id < :end ORDER BY id LIMIT :rows) piece"
)
_CODES: Final = text(
    "SELECT count(*), max(id), string_agg(int8send(id), ''), string_agg(int4send(octet_length(code)), ''),"
    " string_agg(convert_to(code, 'UTF8'), '')"
    " FROM (SELECT id, code FROM ledger_account WHERE id > :after AND id < :end ORDER BY id LIMIT :rows) piece"
)


def _packed(conn: Connection, business_date: date) -> Iterator[LineColumns]:
    start, end = numbers_of(business_date)
    accounts, codes = _account_codes(conn)
    places = Places(accounts)
    for entry_id, amount_fen, debit_id, credit_id, lengths, items in _pieces(conn, _LINES, start, end):
        entries, amounts, *sides = map(unpacked, (entry_id, amount_fen, debit_id, credit_id))
        debits, credits = (codes.take(places.of(side)) for side in sides)
        piece = LineColumns(entries, debits, credits, amounts, _texts(lengths, items))
        ours = (entries > start) & (entries < end)
        yield piece if ours.all() else _of_entries(piece, ours)


def _account_codes(conn: Connection) -> tuple[Numbers, pa.StringArray]:
    """The numbers of all accounts, rising, and their codes, with an empty one at the end."""
    some = list(_pieces(conn, _CODES, 0, np.iinfo(np.int64).max))
    accounts = np.concatenate([unpacked(ids) for ids, _, _ in some] or [np.empty(0, np.int64)])
    return accounts, pa.concat_arrays([*(_texts(*texts) for _, *texts in some), pa.array([""], pa.string())])


def _of_entries(piece: LineColumns, ours: NDArray[np.bool_]) -> LineColumns:
    chosen = pa.array(ours)
    debit, credit, item = (column.filter(chosen) for column in (piece.debit, piece.credit, piece.item))
    return LineColumns(piece.entry_id[ours], debit, credit, piece.amount_fen[ours], item)


def _pieces(conn: Connection, query: TextClause, after: int, end: int) -> Iterator[list[bytes]]:
    """What a query for some rows after a number packs together, again and again until there are no more."""
    in_key_order(conn)
    while True:
        given = {"after": after, "end": end, "rows": CHUNK_ROWS}
        count, last, *packed = conn.execute(query, given).one()
        if not count:
            in_key_order(conn, "on")
            return
        yield packed
        after = last


def _texts(lengths: bytes, packed: bytes) -> Any:
    bounds = np.append(np.int32(0), np.cumsum(np.frombuffer(lengths, ">i4"), dtype=np.int32))
    return pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds.data), pa.py_buffer(packed))
