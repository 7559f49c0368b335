"""What the entries of a day in the books say now, as digests: lines pass by in columns, and none becomes an object."""

import hashlib
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sqlalchemy import Connection, Select, select

from ledger import tables
from ledger.bulk import CHUNK_ROWS
from ledger.column_texts import line_contents
from ledger.entry import canonical_head
from ledger.journal import Recorded, of_day, read_heads
from ledger.snapshots import lines_on


class Told(NamedTuple):
    """An entry without its lines, and the digest of all that it says with them."""

    recorded: Recorded
    digest: bytes


def digests_told(conn: Connection, business_date: date) -> Iterator[Told]:
    """The entries of a date whose lines are in the books, in posting order, each with the digest that it has now.

    That is `ledger.entry.digest` of `canonical_bytes`, of the lines that name the entry as theirs.
    """
    runs = _runs(conn, business_date)
    waiting = next(runs, None)
    for recorded in read_heads(conn, of_day(business_date)):
        content = hashlib.sha256(b"\x00" + canonical_head(recorded.entry)[:-1] + b",[")
        last = b""
        while waiting is not None and waiting[0] == recorded.entry_id:
            content.update(last)
            content.update(waiting[1][:-1])
            last = b","
            waiting = next(runs, None)
        content.update(b"]]")
        yield Told(recorded, content.digest())


def _runs(conn: Connection, business_date: date) -> Iterator[tuple[int, memoryview]]:
    """Neighbouring lines of one entry, in the order of entries and lines: its number, and what they say."""
    query = _lines().where(of_day(business_date), lines_on(business_date))
    for rows in conn.execute(query).partitions():
        entry_id, debits, credits, amount_fen, items = zip(*rows, strict=True)
        texts = (pa.array(column, pa.string()) for column in (debits, credits, items))
        yield from _of_entries(np.array(entry_id, np.int64), np.array(amount_fen, np.int64), *texts)


@cache
def _lines() -> Select[*tuple[Any, ...]]:
    entry, line = tables.entry.c, tables.line.c
    debit, credit = tables.account.alias("debit"), tables.account.alias("credit")
    return (
        select(entry.id, debit.c.code, credit.c.code, line.amount_fen, line.item)
        .select_from(
            tables.entry.join(tables.line, line.entry_id == entry.id)
            .join(debit, debit.c.id == line.debit_id)
            .join(credit, credit.c.id == line.credit_id)
        )
        .order_by(entry.id, line.id)
        .execution_options(yield_per=CHUNK_ROWS)
    )


def _of_entries(
    entry_id: NDArray[np.int64],
    amount_fen: NDArray[np.int64],
    debit: pa.StringArray,
    credit: pa.StringArray,
    item: pa.StringArray,
) -> Iterator[tuple[int, memoryview]]:
    content, bounds = line_contents(debit, credit, amount_fen, item)
    begins = np.flatnonzero(np.r_[True, entry_id[1:] != entry_id[:-1]])
    for first, end in zip(begins.tolist(), [*begins[1:].tolist(), len(entry_id)], strict=True):
        yield int(entry_id[first]), content[bounds[first] : bounds[end]]
